"""The door for people on a terminal. Each command loads its settings, wires what it needs and says one clear thing.

Errors of the operator's making are one line on stderr and exit code 1; a stack trace means a bug of ours.
"""

import getpass
import json
import os
import sys
import threading
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from app.core.command import MAX_NOTE, Command, Verb
from app.core.errors import TracksideError, UserError
from app.core.names import RunId, StackId, is_sha
from app.core.run import ExternalState, RunType
from app.identity_cli import attestation_app, oidc_app, secret_app
from app.keep_cli import backup, restore, rotate_key
from app.list_cli import runs, stacks
from app.on_server import actor, error_text, reachable_database_url, stack_meant
from app.on_server import control as _control
from app.on_server import database_url as _database_url
from app.policy_cli import policy_app
from app.setup_cli import setup
from app.state_cli import state_app
from app.webhook_cli import webhook_app
from app.workers_cli import workers_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.flows.answer import Done, Not
    from app.flows.operate import Operate

app = typer.Typer(
    name="trackside",
    help="From git push to applied infrastructure, on GitHub.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"trackside {version('trackside')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """From git push to applied infrastructure, on GitHub."""


app.add_typer(policy_app)
app.add_typer(state_app)
app.command()(backup)
app.command()(restore)
app.command()(rotate_key)
app.command()(setup)
app.command()(runs)
app.command()(stacks)
for group in (secret_app, oidc_app, attestation_app):
    app.add_typer(group)
app.add_typer(workers_app)
app.add_typer(webhook_app)

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, as in its page's address.")]
RunOrStack = Annotated[
    str, typer.Argument(metavar="RUN|STACK", help="The run's id, or a stack: its one run that takes the command.")
]
StackArgument = Annotated[str, typer.Argument(metavar="STACK", help="The stack's id, its name, or OWNER/REPO/NAME.")]
ShaOption = Annotated[
    str, typer.Option("--sha", help="All 40 digits of the commit; default: the stack's head, else its branch's tip.")
]
MAX_ARGUMENT_CHARS: Final = 8_192
"""Of one word on the command line, a path or a note; twice what a path can have."""


class Became(StrEnum):
    """What can be said of something outside that a run waits for."""

    FINISHED = ExternalState.FINISHED.value
    SKIPPED = ExternalState.SKIPPED.value
    FAILED = ExternalState.FAILED.value


NoteArgument = Annotated[str, typer.Argument(help="Why, for those who wait.")]


@app.command()
def serve() -> None:
    """Start everything in one process tree: database, web, jobs, one worker."""
    from app.jobs import stop_on_signals
    from app.logs import set_up_logging
    from app.serve import Tree, check_folder
    from app.wiring_app import load_first

    settings = load_first(os.environ)
    set_up_logging(settings.log_level)
    check_folder(settings.data_dir)
    Tree(settings, dict(os.environ)).run(stop_on_signals())


@app.command()
def web() -> None:
    """Start the HTTP doors: webhooks, workers' calls, pages. Without an App, the page that sets one up."""
    from app.logs import set_up_logging
    from app.serve import check_port
    from app.web.run import run_app
    from app.wiring import open_control
    from app.wiring_app import load_first
    from app.wiring_setup import set_up

    first, url = load_first(os.environ), _database_url()
    set_up_logging(first.log_level)
    check_port(first.host, first.port)
    settings = set_up(first, os.environ, url)
    if settings is None:  # told to end before there was an App
        return
    with open_control(settings, url) as plane:
        run_app(plane.make_web(), settings.host, settings.port)


@app.command()
def jobs() -> None:
    """Run the control plane's jobs: decide pushes, carry out commands, publish reports."""
    from app.jobs import run_jobs, stop_on_signals
    from app.logs import set_up_logging
    from app.wiring import open_control
    from app.wiring_app import await_settings, load_first

    set_up_logging(load_first(os.environ).log_level)
    stop, url = stop_on_signals(), _database_url()
    settings = await_settings(os.environ, url, stop)
    if settings is None:
        return
    with open_control(settings, url) as plane:
        run_jobs(plane.make_job_app, plane.tasks, stop)


@app.command()
def worker(
    pool: Annotated[str, typer.Option(help="The pool whose token this worker has; else WORKER_POOL.")] = "",
    concurrency: Annotated[str, typer.Option(help="How many runs at once, 1 to 64; else WORKER_CONCURRENCY.")] = "",
    name: Annotated[str, typer.Option(help="What it is called; else WORKER_NAME, else the host's name.")] = "",
) -> None:
    """Run assignments: fetch, plan, apply. Needs CONTROL_URL and WORKER_TOKEN, and nothing of the control plane's."""
    from app.logs import set_up_logging
    from app.settings import load_worker_settings
    from app.wiring_worker import open_worker
    from app.worker.shutdown import shutdown_on_signals

    flags = {"WORKER_POOL": pool, "WORKER_CONCURRENCY": concurrency, "WORKER_NAME": name}
    settings = load_worker_settings({**os.environ, **{variable: value for variable, value in flags.items() if value}})
    set_up_logging(settings.log_level)
    shutdown = shutdown_on_signals()
    open_worker(settings).run(shutdown.begun, hurry=shutdown.hurried)


@app.command()
def migrate() -> None:
    """Bring the database to this version."""
    from app.store.migrations import migrate as bring

    bring(reachable_database_url())
    typer.echo("the database is current")


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Look everything over that this process's environment names; exit code 1 when something does not work."""
    from app.core.finding import findings_document, has_problem
    from app.doctor import examine
    from app.logs import set_up_logging

    set_up_logging("error")  # what is found is told once, as findings
    found = examine(os.environ)
    typer.echo(json.dumps(findings_document(found), indent=2) if as_json else "\n".join(one.line for one in found))
    if has_problem(found):
        raise typer.Exit(1)


@app.command()
def sandbox(
    script: Annotated[bool, typer.Option("--script", help="Tell the story unattended, then end.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port of the stand-in GitHub's pages; 0: any free one.")
    ] = 8480,
) -> None:
    """Start a stand-in GitHub on this machine, Trackside beside it, and a demo repository to push to."""
    from app.demo import run_demo, run_sandbox

    raise typer.Exit(run_demo() if script else run_sandbox(port))


@app.command()
def confirm(
    run: RunOrStack,
    even_if_superseded: Annotated[
        bool, typer.Option("--even-if-superseded", help="Also when a newer commit of the stack has arrived.")
    ] = False,
) -> None:
    """Confirm the plan that a run waits with, as this server's operator."""
    _command(run, Command(verb=Verb.CONFIRM, even_if_superseded=even_if_superseded))


@app.command()
def discard(run: RunOrStack, why: Annotated[str, typer.Argument(help="Why, for the report.")] = "") -> None:
    """Discard the plan that a run waits with."""
    _command(run, Command(verb=Verb.DISCARD, note=why))


@app.command()
def approve(run: RunOrStack, note: Annotated[str, typer.Argument(help="What you looked at.")] = "") -> None:
    """Approve the plan that a run waits with, where an approval policy counts that."""
    _command(run, Command(verb=Verb.APPROVE, note=note[:MAX_NOTE]))


@app.command()
def reject(run: RunOrStack, note: Annotated[str, typer.Argument(help="Why, for the report.")] = "") -> None:
    """Speak against the plan that a run waits with, where an approval policy counts that."""
    _command(run, Command(verb=Verb.REJECT, note=note[:MAX_NOTE]))


@app.command()
def replan(
    run: RunOrStack,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Plan these changes alone: numbers, ranges and addresses of the plan, `1,4-7`."),
    ] = None,
    leave_out: Annotated[
        list[str] | None, typer.Option("--except", help="Plan all but these: numbers, ranges and addresses.")
    ] = None,
) -> None:
    """Plan a waiting run again: the whole commit, or some of the plan's changes."""
    from app.core.choice import choice_of

    _command(run, Command(verb=Verb.REPLAN, choice=choice_of(only, leave_out)))


@app.command()
def stop(run: RunOrStack) -> None:
    """Stop a run that is being planned."""
    _command(run, Command(verb=Verb.STOP))


@app.command()
def cancel(run: RunOrStack) -> None:
    """Withdraw a run that has not started."""
    _command(run, Command(verb=Verb.CANCEL))


@app.command()
def retry(run: RunOrStack) -> None:
    """Make a run of the same commit again that failed, was stopped, canceled or discarded."""
    _command(run, Command(verb=Verb.RETRY))


@app.command()
def plan(stack: StackArgument, sha: ShaOption = "") -> None:
    """Plan a commit of a stack as a preview; nothing of it is ever applied."""
    _begin(stack, Verb.PLAN, sha)


@app.command()
def deploy(stack: StackArgument, sha: ShaOption = "") -> None:
    """Plan a commit of a stack's tracked branch in order to apply it: also a stack's very first run."""
    _begin(stack, Verb.DEPLOY, sha)


@app.command()
def destroy(stack: StackArgument) -> None:
    """Plan to destroy everything that a stack's state holds; a person has to confirm that plan."""
    _say(stack, lambda operate, meant: operate.begin_here(meant, RunType.DESTROY, actor()))


@app.command()
def drift(stack: StackArgument) -> None:
    """Compare what exists with what a stack has deployed; nothing is applied."""
    _say(stack, lambda operate, meant: operate.begin_here(meant, RunType.DRIFT, actor()))


@app.command()
def lock(stack: StackArgument, note: NoteArgument = "") -> None:
    """Keep a stack for yourself: only your runs go ahead, and nothing is deployed by itself."""
    _say(stack, lambda operate, meant: operate.keep(meant, Command(verb=Verb.LOCK, note=note[:MAX_NOTE]), actor()))


@app.command()
def unlock(stack: StackArgument, note: NoteArgument = "") -> None:
    """Take a stack's locks away, and the hold after an apply of unknown outcome, once a person has looked."""
    _say(stack, lambda operate, meant: operate.keep(meant, Command(verb=Verb.UNLOCK, note=note[:MAX_NOTE]), actor()))


def _command(run: str, command: Command) -> None:
    _say(run, lambda operate, meant: operate.run(RunId(meant), command, actor()))


def _begin(stack: str, verb: Verb, sha: str) -> None:
    named = sha.lower()
    if named and not is_sha(named):
        raise UserError(
            f"starting a run at {sha[:60]!r}: that is no full commit SHA; git rev-parse prints all 40 digits"
        )
    _say(stack, lambda operate, meant: operate.begin(meant, Command(verb=verb, sha=named), actor()))


def _say(word: str, act: "Callable[[Operate, StackId], Done | Not]") -> None:
    """What became of a command for a run or a stack; exit code 1 when it was refused."""
    from app.flows.answer import Done

    with _control() as plane:
        result = act(plane.operate, stack_meant(plane, word))
    typer.echo(result.text)
    if not isinstance(result, Done):
        raise typer.Exit(1)


@app.command()
def external(
    run: RunArgument,
    dependency: Annotated[str, typer.Argument(metavar="DEPENDENCY", help="As the push policy named it.")],
    state: Annotated[Became, typer.Argument(metavar="STATE", help="What became of it.")],
) -> None:
    """Say what became of something outside that a queued run waits for."""
    with _control() as plane:
        by = f"{getpass.getuser()} (on the server)"
        typer.echo(plane.externals.mark(RunId(run), dependency, ExternalState(state.value), by=by, source="cli"))


@app.command()
def simulate(
    event: Annotated[
        Path,
        typer.Option("--event", metavar="FILE", help="A payload of GitHub's, or a push policy's input document."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    base: Annotated[
        str, typer.Option("--base", metavar="REF", help="Compare with this commit instead of the event's own base.")
    ] = "",
    organisation: Annotated[
        Path | None,
        typer.Option("--organisation", metavar="FOLDER", help="A clone of the owner's `.trackside`, to count too."),
    ] = None,
) -> None:
    """Say which stacks an event would run, and why, with the stacks file and policies of this clone. Runs nothing."""
    from app.engine.clone import Clone
    from app.simulate import document_of, engine_here, lines_of
    from app.simulate import simulate as tell

    clone = Clone(Path.cwd(), environ=dict(os.environ))
    owners = Clone(organisation, environ=dict(os.environ)) if organisation is not None else None
    with engine_here(os.environ) as engine:
        told = tell(clone, event, engine, base=base, organisation=owners)
    typer.echo(json.dumps(document_of(told), indent=2) if as_json else "\n".join(lines_of(told)))


@app.command()
def why(
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME")],
    sha: Annotated[str, typer.Argument(metavar="SHA", help="All 40 digits of the commit.")],
    stack: Annotated[str, typer.Option("--stack", help="One stack alone, by its name.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Everything that is known, as one JSON document.")] = False,
) -> None:
    """Say why each stack did or did not run for a commit."""
    from app.core.names import Sha
    from app.core.words_why import other_stacks, why_document, why_lines

    if not is_sha(sha.lower()):
        raise UserError(f"explaining {sha[:60]!r}: that is no full commit SHA; git rev-parse prints all 40 digits")
    with _control() as plane:
        found = plane.store.find_repository_id(repository)
        if found is None:
            raise UserError(
                f"looking up repository {repository[:140]!r}: no event of it has arrived; write OWNER/NAME as "
                "`trackside stacks` does, and see that the App is installed on it"
            )
        told = plane.control.explain.why(found, Sha(sha.lower()), stack)
        others = () if told or not stack else plane.control.explain.why(found, Sha(sha.lower()))
    if as_json:
        typer.echo(json.dumps(why_document(told), indent=2))
    for line in () if as_json else why_lines(told):
        typer.echo(line)
    if not told:
        which = f" of stack {stack[:80]}" if stack else ""
        typer.echo(f"no decision{which} is recorded for {sha[:40]} of {repository}{other_stacks(others)}", err=True)
        raise typer.Exit(1)


def _fill_closed_streams() -> None:
    """Stdin, stdout and stderr that were closed before the start read nothing and swallow all: no file takes their
    numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open as long as the process


def main() -> None:
    """The console script. Raises: SystemExit, always."""
    threading.current_thread().name = "main"
    _fill_closed_streams()
    for number, word in enumerate(sys.argv[1:], start=1):
        if len(word) > MAX_ARGUMENT_CHARS:
            typer.echo(f"trackside: reading argument {number}: {_too_long(word)}", err=True)
            sys.exit(2)
    try:
        app()
    except TracksideError as error:
        typer.echo(error_text(error), err=True)
        sys.exit(1)


def _too_long(word: str) -> str:
    return (
        f"it has {len(word):,} characters; at most {MAX_ARGUMENT_CHARS:,} are taken, what is longer comes from a file"
    )


if __name__ == "__main__":
    main()
