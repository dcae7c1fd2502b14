"""`trackside runs` and `trackside stacks`: what there is, in columns, or as one JSON document."""

from typing import Annotated

import typer

from app.on_server import AsJson, control, named_stacks, say_json, say_lines


def runs(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 30,
    as_json: AsJson = False,
) -> None:
    """List the newest runs."""
    from app.core.words_list import NO_RUNS, run_document, run_lines

    with control() as plane:
        found = plane.store.list_recent_runs(limit=limit)
    if as_json:
        say_json([run_document(run) for run in found])
    else:
        say_lines(run_lines(found), NO_RUNS)


def stacks(as_json: AsJson = False) -> None:
    """List the stacks, with what keeps them."""
    from app.core.words_list import NO_STACKS, stack_document, stack_lines

    with control() as plane:
        named, drift = named_stacks(plane), plane.store.list_drift()
    if as_json:
        say_json([stack_document(stack, repository, drift.get(stack.id)) for stack, repository in named])
    else:
        say_lines(stack_lines(named, drift), NO_STACKS)
