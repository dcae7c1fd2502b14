"""The room that alone speaks to GitHub: the wall where payloads stop, the App's tokens, and the port that flows call.

Doors and flows get `payloads.make_reader` and `client.GitHubApp`; nothing else of it leaves the room.
"""
