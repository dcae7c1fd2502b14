"""Store: alone knows SQL, migrations and the artifact store; alone defers jobs.

Runs, stacks and reports are saved here under their rows' locks; guards live in the database itself. Fits the ports of
the flows by shape and imports none of them.
"""
