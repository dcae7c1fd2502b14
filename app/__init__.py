"""Trackside: git pushes become tracked Terraform and OpenTofu runs; what was confirmed is applied, exactly as planned.

The rooms, outermost first; imports point inwards alone, and neighbours are strangers (pyproject.toml holds it).
  cli        the door for people on a terminal: one command, one clear sentence; policy_cli, state_cli, keep_cli,
             identity_cli, webhook_cli: those for policies, managed states, backups and keys, secrets and attestations,
             endpoints of notifications; list_cli: what there is; on_server: what they stand on
  demo       `make demo` and `make sandbox`: the product beside a stand-in GitHub
  doctor     what is not as it should be, here and on GitHub, each with the way out
  simulate   which stacks an event would run, told from a clone on an author's machine
  serve      one process tree: database, web, jobs, one worker
  wiring_app where the App comes from, the environment or set-up in the browser; wiring_setup: a web process without
             one; setup_cli: its command
  wiring     settings in, adapters and flows out; the only file that knows every room; wiring_adapters:
             what stands outside; wiring_worker: a worker
  logs       how processes log
  measure    what /readyz and /metrics compute when they are asked
  web        the door for HTTP: webhooks, workers' calls, managed state, pages, health
  jobs       the door for the control plane's jobs: each runs one flow
  worker     the other plane: claims over HTTP, runs an assignment with the engine; reaches engine and core alone
  sandbox    the stand-in GitHub, for the demo and for tests
  flows      the use cases: ask ports, call core, save; no library, no SQL, no URL
  github     alone speaks to GitHub, and is the wall where its payloads stop
  messenger  alone speaks to those who are told of runs: signed webhooks, Slack
  engine     alone starts git and terraform; workspaces and their archives
  policy     alone runs Rego: OPA in child processes, or a server of the operator's
  vault      alone knows keys and ciphers
  store      alone knows SQL, the artifacts and how jobs are deferred
  settings   every environment variable, read once
  core       values in, values out: no I/O, no clock, no randomness

The flow of an event, in order:
  web.webhook -> store      a delivery is stored with its job, then GitHub gets its 202
  jobs -> flows.deliver     the payload becomes an event (github.payloads), or ends as ignored or malformed, with why
  flows.decide              flows.look asks git: commit, changed files, stacks file and policies (flows.configure);
                            flows.enquire asks GitHub what policies mention (core.pushinput); flows.judge asks the
                            policies (policy, core.contract_push) or the default one (core.pushpolicy); outside of any
                            transaction, all of it
  flows.organise            the owner's `.trackside`: its settings are kept, and every repository is taken in under them
  flows.effects             one decision for each stack, with what follows: heads move, runs are made, locks turn
  flows.schedule            the stack's next run becomes ready when nothing is before it
  flows.assign              a worker's claim becomes an assignment, with credentials that die with it
  worker.steps              fetch, init, plan, hand in the plan, store the workspace
  flows.conclude            what the worker says moves the run: finished, or waiting for a person
  flows.weigh               the stack's plan and approval policies judge the plan before it waits (core.ruling)
  flows.publish             what should stand on GitHub is computed from the run, and put there (core.report_check)
  flows.budget              each write is counted before it is sent, in lanes; what GitHub says of its limits holds
  flows.tick                what others do to the App's comment: ticks, edits, its deletion
  flows.rerequest           a check that is asked for again: planned again, never applied
  flows.cascade             runs of the stacks below, made with a run, wait for it (core.dependency, core.upstream)
  flows.trigger             when a run has ended: flows.depend tells those that wait for it, then policies are asked
  flows.inputs              outputs of other stacks: kept after an apply, passed to plans (core.inputs)
  flows.notify, flows.send  who is told of a run by a policy, and the telling, one endpoint in its order
  flows.explain             why it did or did not run: answers, and the summary of a commit (core.words_why)
  flows.control             the doors of a person's command: a button, a comment; flows.act: on a page, flows.operate:
                            on the server
  flows.login, flows.visit  people log in to the pages with GitHub; sessions, and what each may read (core.visitor)
  flows.inquire             what GitHub and the policies say of whoever confirms or reviews (core.permit); flows.makers:
                            whose commits a run would apply
  flows.order               one command for one run: authorised, carried out, written down
  flows.review              what people say of a plan, and what follows from it
  flows.start, flows.retry  runs that people start: previews, deployments, destroy and drift runs, and retries
  flows.lock                a stack for one person alone; what keeps a stack is taken away
  flows.assign, worker      the confirmed plan is restored, verified and applied; `applying` is committed first
  flows.setup               before all: a code opens the set-up, GitHub makes the App (github.setup, web.setup);
                            flows.installed: what people come back to who have installed it
  flows.state               Terraform's state, for stacks whose state is managed
  flows.external            CI says what became of something outside that a queued run waits for
  flows.missed              what GitHub did not bring: its delivery log is read, branches and tags are looked at, old
                            commands are answered; docs/missed-events.md
  flows.follow              repositories and accounts that are renamed, archived, suspended, taken away, and come back
  flows.drift_look          stacks whose schedule is due are compared with what they have deployed; flows.drift: what
                            follows from a difference; core.cron: when a schedule is due
  flows.sweep               leases that ran out: planned again, back to confirmed, or outcome unknown; plans that nobody
                            decided about expire; flows.tidy, once an hour: what only history needs goes

To add a command: a Verb and a Form in core.command, its permission in core.permit, its step in core.run's table when it
moves a run, its sentences in core.words (core.words_start), its deed in flows.order, flows.start or flows.lock, and cli
when it is one for the server too; docs/commands.md is generated.
To add an event: a value in core.event, its reader in github.payloads, its case in flows.deliver; core.happening, when
stacks are asked about it.
To add a policy type: its question in core and its place in flows; core.contract has its rules already, and
core.configmodel refuses every type that nobody asks. docs/architecture.md walks through all three.
"""
