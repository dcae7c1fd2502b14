"""Which stack an entry of the stacks file continues."""

import hashlib

from app.core.names import Sha
from app.flows.configure import read_file, take_in
from app.store.postgres import PostgresStore
from tests.store.world import REPOSITORY


def stacks(store: PostgresStore, *entries: str) -> dict[str, list[tuple[str, bool]]]:
    """A stacks file with these entries is pushed; ids and whether they live, by name."""
    text = "version: 1\nstacks:\n" + "".join(f"  - {{{entry}}}\n" for entry in entries)
    sha = Sha(hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
    with store.begin() as tx:
        tx.save_repository(REPOSITORY)
        assert take_in(tx, REPOSITORY, read_file(sha, text.encode(), default_branch="main")).problems == ()
    found: dict[str, list[tuple[str, bool]]] = {}
    with store.begin() as tx:
        for stack in tx.list_stacks(REPOSITORY.id):
            found.setdefault(stack.name, []).append((stack.id, not stack.is_detached))
    return found


def test_a_renamed_stack_goes_on_though_another_one_had_its_new_name_before(store: PostgresStore) -> None:
    """What was given up does not come back by a rename: the stack that lives keeps its id, and its state with it."""
    ((old, _),) = stacks(store, "name: prod, project_root: old")["prod"]
    ((live, _),) = stacks(store, "name: next, project_root: new")["next"]
    renamed = {"prod": [(old, False), (live, True)]}
    assert stacks(store, "name: prod, renamed_from: next, project_root: new") == renamed
    assert stacks(store, "name: prod, project_root: new") == renamed
    assert stacks(store, "name: other, project_root: new")["prod"] == [(old, False), (live, False)]


def test_a_stack_that_was_given_up_comes_back_by_its_name_and_by_the_one_it_had(store: PostgresStore) -> None:
    ((first, _),) = stacks(store, "name: net")["net"]
    stacks(store, "name: app")
    assert stacks(store, "name: net")["net"] == [(first, True)]
    stacks(store, "name: app")
    assert stacks(store, "name: web, renamed_from: net")["web"] == [(first, True)]
