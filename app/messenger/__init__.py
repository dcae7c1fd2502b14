"""Alone speaks to those who are told of runs: signed webhooks and Slack's incoming ones.

Knows no policy and no database: a message and its endpoint come in, and how it was taken goes out. Where a message may
go is the operator's to say; nothing here takes an address from anybody else.
"""
