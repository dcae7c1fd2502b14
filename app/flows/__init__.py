"""Flows: the use cases. They ask ports, call core, save. No library names, no SQL, no URLs.

In the order of a run's life: deliver (a delivery becomes an event), configure (the
stacks file), decide (a push), schedule (whose turn), assign (a worker),
conclude (what a worker says), control (what a person says), state (Terraform's state), publish (what stands on
GitHub), sweep (what time does). `ports.py` has what they ask of the outside.
"""
