"""Secrets, signing keys and attestations in the database: what is one, what is for ever, what cannot move."""

from datetime import UTC, datetime

import psycopg
import pytest

from app.core.errors import BrokenError
from app.core.event import Repository
from app.core.names import Secret
from app.core.protocol import Phase
from app.core.run import RunState, Step
from app.core.secret import NamedScope, Scope, StoredSecret
from app.core.signing import Purpose
from app.core.stack import Stack
from app.flows.identity import Identity
from app.flows.secrets import Given, Missing, Secrets
from app.store.postgres import PostgresStore
from app.vault.keys import Keyring
from app.vault.vault import Vault
from tests.database import KEY
from tests.store.world import make_run, make_stack, step

VAULT = Vault(Keyring([KEY]))


def flow(store: PostgresStore) -> Secrets:
    """The use cases of secrets on that store."""
    return Secrets(store=store, sealer=VAULT, find_repository=store.find_repository_id)


def identity(store: PostgresStore) -> Identity:
    """The use cases of keys on that store."""
    return Identity(store=store, signer=VAULT, sealer=VAULT, issuer="https://here", audience="here")


def stack_with(store: PostgresStore, **secrets: str) -> tuple[Stack, Repository]:
    """A stack whose variables are those secrets, and its repository."""
    stack = make_stack(store)
    object.__setattr__(stack.settings, "secrets", secrets)
    with store.begin() as tx:
        repository = tx.find_repository(stack.repository_id)
    assert repository is not None
    return stack, repository


def test_a_sealed_value_that_was_moved_to_another_scope_or_name_does_not_open(
    store: PostgresStore, database_url: str
) -> None:
    stack, repository = stack_with(store, TOKEN="MINE")
    run, owner = make_run(store, stack), NamedScope(owner=repository.owner)
    flow(store).set("OTHER", NamedScope(owner="elsewhere"), Secret("of-somebody-else"), "root")
    flow(store).set("MINE", owner, Secret("of-the-owner"), "root")
    with store.begin() as tx:
        given = flow(store).give(tx, run.id, stack, repository, Phase.PLAN)
    assert isinstance(given, Given)
    assert (given.environment, given.secret_names) == ({"TOKEN": "of-the-owner"}, ("TOKEN",))
    assert "of-the-owner" not in repr(given)
    with psycopg.connect(database_url, autocommit=True) as sql:
        sql.execute("UPDATE secrets SET sealed_value = (SELECT sealed_value FROM secrets WHERE name = 'OTHER')")
    with store.begin() as tx, pytest.raises(BrokenError, match="changed, or sealed for something else"):
        flow(store).give(tx, run.id, stack, repository, Phase.PLAN)


def test_a_phase_opens_what_it_needs_and_a_forks_commit_nothing(store: PostgresStore) -> None:
    stack, repository = stack_with(store, wo_WRITER="ABSENT", ro_READER="READER")
    run = make_run(store, stack)
    flow(store).set("READER", NamedScope(owner=repository.owner.upper()), Secret("reads"), "root")
    with store.begin() as tx:
        planned = flow(store).give(tx, run.id, stack, repository, Phase.PLAN)
        assert isinstance(planned, Given), "an absent secret of the apply stops no plan"
        assert planned.environment == {"READER": "reads"}
        assert isinstance(flow(store).give(tx, run.id, stack, repository, Phase.APPLY), Missing)
        assert flow(store).give(tx, run.id, stack, repository, Phase.VALIDATE) == Given(environment={})


def test_what_a_plan_was_made_with_is_told_to_its_apply_and_gone_with_the_run(store: PostgresStore) -> None:
    stack, repository = stack_with(store, TF_VAR_password="PASSWORD", OTHER="PASSWORD")
    run = make_run(store, stack)
    owner = NamedScope(owner=repository.owner)
    flow(store).set("PASSWORD", owner, Secret("the-old-one"), "root")
    with store.begin() as tx:
        flow(store).give(tx, run.id, stack, repository, Phase.PLAN)
    flow(store).set("PASSWORD", owner, Secret("the-new-one"), "root")
    with store.begin() as tx:
        given = flow(store).give(tx, run.id, stack, repository, Phase.APPLY)
        assert isinstance(given, Given)
        assert (given.environment["OTHER"], given.redacted) == ("the-new-one", ("the-old-one",))
        assert tx.change_run(run.id, step(Step.CANCEL)).state is RunState.CANCELED
        assert tx.find_run_secrets(run.id) == b""


def test_a_scope_has_one_secret_of_a_name(store: PostgresStore) -> None:
    at = datetime.now(UTC)
    for scope in (Scope(owner="acme"), Scope(repository_id=make_stack(store).repository_id)):
        one = StoredSecret(scope=scope, name="A", sealed_value=b"1", updated_at=at, updated_by="root")
        with store.begin() as tx:
            assert tx.save_secret(one) is False
            assert tx.save_secret(one) is True
            assert tx.list_secrets(scope) == [one]
            assert tx.delete_secret(scope, "A") is True
            assert tx.delete_secret(scope, "A") is False


def test_one_key_of_a_purpose_signs_and_both_purposes_have_their_own(store: PostgresStore, database_url: str) -> None:
    flows = identity(store)
    first, other = flows.key_set(Purpose.ATTESTATION), flows.key_set(Purpose.OIDC)
    assert first == flows.key_set(Purpose.ATTESTATION), "made once"
    assert first["keys"] != other["keys"]
    with store.begin() as tx:
        live = tx.find_signing_key(Purpose.ATTESTATION)
        assert live is not None
        made = VAULT.new_signing_key(Purpose.ATTESTATION)
        late = type(live)(
            id=made.id, purpose=live.purpose, public_jwk=made.public_jwk, sealed_private=b"x", created_at=tx.now()
        )
        assert tx.add_signing_key(late) == live, "another process was faster"
    rotated = flows.rotate(Purpose.ATTESTATION, "root")
    keys = flows.key_set(Purpose.ATTESTATION)["keys"]
    assert isinstance(keys, list)
    assert [key["kid"] for key in keys] == [rotated, live.id]
    with psycopg.connect(database_url) as sql, pytest.raises(psycopg.errors.UniqueViolation):
        sql.execute("UPDATE signing_keys SET retired_at = NULL")


def test_an_attestation_is_for_ever(store: PostgresStore, database_url: str) -> None:
    run = make_run(store, make_stack(store))
    identity(store).key_set(Purpose.ATTESTATION)
    with store.begin() as tx:
        key = tx.find_signing_key(Purpose.ATTESTATION)
        assert key is not None
        tx.add_attestation(run.id, key.id, b"{}")
    for change in ("UPDATE attestations SET envelope = 'x'", "DELETE FROM attestations", "TRUNCATE attestations"):
        with psycopg.connect(database_url) as sql, pytest.raises(psycopg.IntegrityError, match="append-only"):
            sql.execute(change.encode())
