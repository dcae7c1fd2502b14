"""Managed state between two who act at once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from app.core.errors import LeaseLost
from app.core.managed import StateCaller, StateDone, StateMissing, StateQuarantined
from app.core.names import Secret
from app.core.run import Step
from app.flows.state import States
from app.store.artifacts_disk import DiskArtifacts
from app.store.postgres import PostgresStore
from app.vault.keys import Keyring
from app.vault.vault import Vault
from tests.database import KEY
from tests.driver import wait_until
from tests.store.world import bring_to_confirmed, hold_of, make_ready_run, step

STATE = b'{"version": 4, "serial": 1, "lineage": "one"}'
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def begun_apply(store: PostgresStore, folder: Path) -> tuple[States, StateCaller]:
    """The state's door, and somebody who applies."""
    vault = Vault(Keyring([KEY]))
    states = States(store=store, artifacts=DiskArtifacts(folder), sealer=vault)
    run = make_ready_run(store)
    with store.begin() as tx:
        bring_to_confirmed(tx, run.id)
        hold = replace(hold_of(), state_token_hash=vault.hash_token("pass"))
        claimed = tx.claim("default", hold, step(Step.CLAIM))
        assert claimed is not None
        tx.change_run(run.id, step(Step.APPLY))
    return states, StateCaller(stack_id=run.stack_id, assignment_id=claimed[1].id, password=Secret("pass"))


def test_the_first_state_of_a_lost_apply_is_kept_apart(store: PostgresStore, tmp_path: Path) -> None:
    """Terraform asks for the state before it writes the first one: an answer that refused would lose what was made.
    Once the stack has a state, who is over reads nothing of it."""
    states, caller = begun_apply(store, tmp_path)
    with store.begin() as tx:
        tx.end_assignment(caller.assignment_id)
    assert states.read(caller) == StateMissing()
    assert isinstance(states.write(caller, "", STATE), StateQuarantined)
    assert states.read(caller) == StateMissing()
    with store.begin() as tx:
        (kept,) = tx.list_state_versions(caller.stack_id)
        tx.add_state_version(
            replace(kept, id=tx.new_id(), artifact_key="adopted", assignment_id=None, is_quarantined=False)
        )
    with pytest.raises(LeaseLost):
        states.read(caller)


def test_an_unlock_that_comes_when_its_apply_is_lost_leaves_the_lock(
    store: PostgresStore, database_url: str, tmp_path: Path
) -> None:
    """What a lost apply did is not known: its lock stays until a person has looked, though its engine still asks."""
    states, caller = begun_apply(store, tmp_path)
    assert states.lock(caller, "it", b"{}") == StateDone()
    with ThreadPoolExecutor(1) as pool, psycopg.connect(database_url, autocommit=True) as connection:
        with store.begin() as tx:
            tx.lock_stack(caller.stack_id)
            unlocked = pool.submit(states.unlock, caller, "it")
            wait_until(lambda: connection.execute(WAITING).fetchone() == (1,), "the unlock waits for the stack")
            tx.end_assignment(caller.assignment_id)
        with pytest.raises(LeaseLost):
            unlocked.result(20)
    with store.begin() as tx:
        assert tx.find_state_lock(caller.stack_id) is not None
