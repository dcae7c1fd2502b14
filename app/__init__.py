"""Trackside: git pushes become tracked Terraform and OpenTofu runs; what was confirmed is applied, exactly as planned.

The rooms, outermost first; imports point inwards alone, and neighbours are strangers (pyproject.toml holds it).
  cli        the door for people on a terminal: one command, one clear sentence
  demo       `make demo` and `make sandbox`: the product beside a stand-in GitHub
  serve      one process tree: database, web, jobs, one worker
  wiring     settings in, adapters and flows out; the only file that knows every room
  web        the door for HTTP: webhooks, workers' calls, managed state, pages, health
  jobs       the door for the control plane's jobs: each runs one flow
  worker     the other plane: claims over HTTP, runs an assignment with the engine; reaches engine and core alone
  sandbox    the stand-in GitHub, for the demo and for tests
  flows      the use cases: ask ports, call core, save; no library, no SQL, no URL
  github     alone speaks to GitHub, and is the wall where its payloads stop
  engine     alone starts git and terraform; workspaces and their archives
  vault      alone knows keys and ciphers
  store      alone knows SQL, the artifacts and how jobs are deferred
  settings   every environment variable, read once
  core       values in, values out: no I/O, no clock, no randomness

The flow of a push, in order:
  web.webhook -> store      a delivery is stored with its job, then GitHub gets its 202
  jobs -> flows.deliver     the payload becomes an event (github.payloads), or ends as ignored or malformed, with why
  flows.decide              configuration, changed files, push policy (core.pushpolicy); one decision for each stack;
                            verdict track moves the stack's head and makes a run (core.run), queued
  flows.schedule            the stack's next run becomes ready when nothing is before it
  flows.assign              a worker's claim becomes an assignment, with credentials that die with it
  worker.steps              fetch, init, plan, hand in the plan, store the workspace
  flows.conclude            what the worker says moves the run: finished, or waiting for a person
  flows.publish             what should stand on GitHub is computed from the run, and put there (core.report_check)
  flows.control             a button, a comment or the command line confirms, discards or replans
  flows.assign, worker      the confirmed plan is restored, verified and applied; `applying` is committed first
  flows.state               Terraform's state, for stacks whose state is managed
  flows.sweep               leases that ran out: planned again, back to confirmed, or outcome unknown

To add a command: a Verb and a Form in core.command, its permission in core.permit, its step in core.run's table when it
moves a run, its sentences in core.words, its deed in flows.control, and cli when it is one for the server too.
To add an event: a value in core.event, its reader in github.payloads, its case in flows.deliver.
To add a policy type: its question and answer in core, its place in flows, and its name in core.configmodel, which
refuses every type that nobody asks. docs/architecture.md walks through all three.
"""
