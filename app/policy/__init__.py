"""The room that alone runs Rego: OPA in child processes (pool), or an OPA server that the operator runs (server).

Nothing here decides what a rule means: that is `app.core.contract`. The engine itself is loaded in children only.
"""
