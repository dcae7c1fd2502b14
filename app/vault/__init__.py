"""The vault: keys and ciphers, and nothing else of the house. Wiring hands it to store and worker.

keys.py: the control plane's keys. sealing.py: small values at rest. stream.py: archives. tokens.py: bearer tokens.
vault.py: all of it in one object, for flows and store.
"""
