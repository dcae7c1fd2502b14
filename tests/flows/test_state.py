"""Managed state between two who act at once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from app.core.errors import LeaseLost
from app.core.managed import StateCaller, StateDone
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

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def test_an_unlock_that_comes_when_its_apply_is_lost_leaves_the_lock(
    store: PostgresStore, database_url: str, tmp_path: Path
) -> None:
    """What a lost apply did is not known: its lock stays until a person has looked, though its engine still asks."""
    vault = Vault(Keyring([KEY]))
    states = States(store=store, artifacts=DiskArtifacts(tmp_path), sealer=vault)
    run = make_ready_run(store)
    with store.begin() as tx:
        bring_to_confirmed(tx, run.id)
        hold = replace(hold_of(), state_token_hash=vault.hash_token("pass"))
        claimed = tx.claim("default", hold, step(Step.CLAIM))
        assert claimed is not None
        tx.change_run(run.id, step(Step.APPLY))
    caller = StateCaller(stack_id=run.stack_id, assignment_id=claimed[1].id, password=Secret("pass"))
    assert states.lock(caller, "it", b"{}") == StateDone()
    with ThreadPoolExecutor(1) as pool, psycopg.connect(database_url, autocommit=True) as connection:
        with store.begin() as tx:
            tx.lock_stack(run.stack_id)
            unlocked = pool.submit(states.unlock, caller, "it")
            wait_until(lambda: connection.execute(WAITING).fetchone() == (1,), "the unlock waits for the stack")
            tx.end_assignment(claimed[1].id)
        with pytest.raises(LeaseLost):
            unlocked.result(20)
    with store.begin() as tx:
        assert tx.find_state_lock(run.stack_id) is not None
