"""The other plane: claims assignments over HTTPS, runs their steps with the engine, reports. No database, no App key.

The flow, in the order in which a run meets it:
  config    what a worker is told: plain values, built by wiring
  loop      slots that claim by long poll; how a worker shuts down
  shutdown  what the first, second and third signal mean
  client    the worker protocol over HTTP: one `Hold` per assignment; a 409 means that the hold is lost
  lease     keeps one hold alive, and ends its engine at once when it is lost or has run out
  log       ships an assignment's log by offset, so that a chunk sent twice is harmless
  job       one assignment: its workspace, its control, its log, its secrets
  identity  the file with the run's identity token, renewed by heartbeats
  hooks     when a stack's own lines of shell run, and what their end means
  steps     what an assignment does, step by step; each goes on or ends it
  validation  the steps for a fork's commit
  executor  runs the steps of a phase and makes the result of whatever happened
"""
