"""`trackside workers`: who works here; and `drain`, `resume`, `remove`, for an operator who moves them about."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from app.core.errors import UserError
from app.on_server import actor, control

if TYPE_CHECKING:
    from app.flows.workers import Which

workers_app = typer.Typer(
    name="workers", help="List the workers; drain, resume or remove one.", add_completion=False, rich_markup_mode=None
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The worker's name, as listed.")]
SomeName = Annotated[str, typer.Argument(metavar="[NAME]", help="The worker's name; without one, the pool of --pool.")]
PoolOption = Annotated[str, typer.Option("--pool", metavar="POOL", help="The pool: all of it, unless a name is given.")]


@workers_app.callback(invoke_without_command=True)
def workers(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Everything that is known, as one JSON document.")] = False,
) -> None:
    """List the workers: pool, name, state, slots in use, version, when last seen, runs."""
    if context.invoked_subcommand is not None:
        return
    from app.core.words_workers import worker_document, worker_lines

    with control() as plane:
        found, drained = plane.store.list_workers(), plane.store.list_drained_pools()
    if as_json:
        document = {"workers": [worker_document(worker) for worker in found], "drained_pools": drained}
        typer.echo(json.dumps(document, indent=2))
        return
    for line in worker_lines(found, drained):
        typer.echo(line)
    if not found:
        typer.echo("no workers yet: start one with `trackside worker`, docs/workers.md says how", err=True)


@workers_app.command()
def drain(name: SomeName = "", pool: PoolOption = "") -> None:
    """Give a worker, or a pool, no new runs until `resume`; what is under way goes on."""
    with control() as plane:
        typer.echo(plane.workers.drain(_which(name, pool), actor()))


@workers_app.command()
def resume(name: SomeName = "", pool: PoolOption = "") -> None:
    """Give a drained worker, or pool, runs again."""
    with control() as plane:
        typer.echo(plane.workers.resume(_which(name, pool), actor()))


@workers_app.command()
def remove(
    name: NameArgument,
    pool: PoolOption = "",
    even_if_applying: Annotated[
        bool, typer.Option("--even-if-applying", help="Also when it applies: that run's outcome is unknown then.")
    ] = False,
) -> None:
    """Forget a worker; runs that it still has are given back when their leases have run out."""
    with control() as plane:
        typer.echo(plane.workers.remove(_which(name, pool), actor(), even_if_applying=even_if_applying))


def _which(name: str, pool: str) -> "Which":
    from app.flows.workers import Which

    if not (name or pool):
        raise UserError("choosing workers: name one, or a pool with --pool; `trackside workers` lists them")
    return Which(name=name, pool=pool)
