"""What was applied, signed: fetched like the run's page, verified by somebody who has nothing but the public key."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.attestation import PREDICATE_TYPE, STATEMENT_TYPE, read_statement
from app.core.errors import UserError
from app.core.run import RunState
from app.core.signing import Purpose
from app.vault.signing import open_envelope, read_public_keys
from tests.driver import World

STACKS = "version: 1\nstacks:\n  - name: app\n    project_root: app\n"
SHOWS = "cat $TRACKSIDE_OIDC_TOKEN_FILE && stat -c mode=%a $TRACKSIDE_OIDC_TOKEN_FILE"
CODE = """
resource "terraform_data" "web" {{
  provisioner "local-exec" {{ command = "{command}" }}
}}
"""


def statement(envelope: bytes) -> dict[str, Any]:
    """What was signed."""
    told: dict[str, Any] = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    return told


def test_an_apply_leaves_a_statement_that_anybody_can_verify(world: World, tmp_path: Path) -> None:
    """Commit, decision, plan, person and result under one signature; a changed byte, key or commit is refused."""
    repo = world.repository()
    files = {
        ".trackside/stacks.yml": STACKS,
        "app/main.tf": CODE.format(
            command="cat $TRACKSIDE_OIDC_TOKEN_FILE && stat -c mode=%a $TRACKSIDE_OIDC_TOKEN_FILE"
        ),
    }
    sha = world.push(repo, files, "First")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    waiting = world.the_run()
    assert httpx.get(f"{world.url}/runs/{waiting.id}/attestation").status_code == 404
    world.press(plan, "Confirm")
    run = world.expect_state(RunState.FINISHED)
    assert run.plan is not None
    assert "***mode=600" in world.log(run), "its commands read their token, in a box too"

    answer = httpx.get(f"{world.url}/runs/{run.id}/attestation")
    assert answer.headers["content-type"] == "application/vnd.dsse.envelope.v1+json"
    assert f"/runs/{run.id}/attestation" in httpx.get(f"{world.url}/runs/{run.id}").text
    told = statement(answer.content)
    assert told["subject"] == [
        {"name": "acme/infra", "digest": {"gitCommit": sha}},
        {"name": f"{run.id}/plan/1", "digest": {"sha256": run.plan.digest}},
    ]
    predicate = told["predicate"]
    assert (predicate["result"], predicate["engine"]) == ("applied", run.plan.engine)
    assert (predicate["confirmation"]["by"], predicate["confirmation"]["how"]) == ("alice", "button")
    assert predicate["decision"]["id"] == run.decision_id
    assert len(predicate["decision"]["digest"]) == 64
    assert predicate["stack"]["settingsDigest"] == run.stack_digest
    assert predicate["startedAt"] <= predicate["endedAt"]

    file, keys = tmp_path / "attestation.json", tmp_path / "keys.json"
    file.write_bytes(answer.content)
    keys.write_text(world.operate("attestation", "key").stdout)
    done = world.operate("attestation", "verify", str(file), "--key", str(keys), "--commit", sha)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        f"verified: plan {run.plan.digest[:12]} of stack app at {sha[:12]} (acme/infra) was applied"
    )
    assert world.operate("attestation", "verify", str(file), "--issuer", world.url).returncode == 0
    shown = world.operate("attestation", "show", run.id)
    assert json.loads(shown.stdout) == answer.json()

    world.plane.identity.rotate(Purpose.ATTESTATION, "root")
    served = httpx.get(f"{world.url}/.well-known/trackside-attestation-keys.json").content
    assert len(json.loads(served)["keys"]) == 2
    assert open_envelope(answer.content, read_public_keys(served)), "what was signed before stays true"

    changed = answer.json()
    changed["payload"] = base64.b64encode(base64.b64decode(changed["payload"]).replace(b"alice", b"mallo")).decode()
    file.write_text(json.dumps(changed))
    refused = world.operate("attestation", "verify", str(file), "--key", str(keys))
    assert refused.returncode == 1
    assert "has signed it, or it was changed since" in refused.stderr


def test_an_apply_that_failed_or_was_lost_is_attested_as_that(world: World) -> None:
    """The result says so; a run that never applied has none."""
    repo = world.repository()
    files = {".trackside/stacks.yml": STACKS, "app/main.tf": CODE.format(command="exit 3")}
    sha = world.push(repo, files, "First")
    world.press(world.expect_check(repo, sha, "deploy/app", "action_required"), "Confirm")
    run = world.expect_state(RunState.FAILED)
    envelope = world.plane.identity.attestation(run.id)
    assert statement(envelope)["predicate"]["result"] == "failed"

    sha = world.push(repo, {"app/main.tf": "resource {\n"}, "Broken")
    world.expect_check(repo, sha, "deploy/app", "failure")
    with pytest.raises(UserError, match="it is failed, and nothing was applied"):
        world.plane.identity.attestation(world.runs()[-1].id)
    assert world.sql("SELECT count(*) FROM attestations") == [(1,)]


def test_a_lost_apply_is_attested_as_unknown(world: World) -> None:
    """Its worker is gone: what is signed is that nobody knows."""
    repo = world.repository()
    gate = world.root / "gate"
    files = {
        ".trackside/stacks.yml": STACKS,
        "app/main.tf": CODE.format(command=f"while ! test -e {gate}; do sleep 0.1; done"),
    }
    sha = world.push(repo, files, "First")
    world.press(world.expect_check(repo, sha, "deploy/app", "action_required"), "Confirm")
    run = world.wait_for(RunState.APPLYING)
    with world.plane.store.begin() as tx:
        record = tx.find_live_assignment(run.id)
    assert record is not None
    world.sql("UPDATE assignments SET lease_until = clock_timestamp() - interval '1 hour' RETURNING id")
    world.plane.tasks.sweep()
    gate.touch()
    run = world.expect_state(RunState.FAILED)
    assert run.is_outcome_unknown
    told = read_statement(
        open_envelope(
            world.plane.identity.attestation(run.id),
            read_public_keys(json.dumps(world.plane.identity.key_set(Purpose.ATTESTATION)).encode()),
        )
    )
    assert told["predicate"]["result"] == "unknown"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda told: told.clear(), "no statement of an apply"),
        (lambda told: told["predicate"].pop("repository"), "no statement of an apply"),
        (lambda told: told["predicate"]["confirmation"].update(by=7), "no statement of an apply"),
        (lambda told: told.update(predicateType="urn:other"), "is a 'urn:other', not urn:trackside:apply:v1"),
        (lambda told: told["subject"].reverse(), "its subjects are not the commit and the plan"),
        (lambda told: told["predicate"].update(commit="b" * 40), "its subjects are not the commit and the plan"),
        (lambda told: told["predicate"]["confirmation"].update(planDigest="0" * 64), "what was confirmed is not what"),
        (lambda told: told["predicate"]["stack"].update(settingsDigest="0" * 64), "what was confirmed is not what"),
        (lambda told: told["predicate"].update(result="fine"), "'fine' is no result"),
    ],
)
def test_a_statement_that_contradicts_itself_is_refused_though_it_is_signed(
    change: Callable[[dict[str, Any]], object], said: str
) -> None:
    """Signed is not enough: commit, plan and confirmation must be one thing."""
    confirmation = {"by": "alice", "how": "", "at": "now", "planDigest": "c" * 64, "settingsDigest": "d" * 64}
    told: dict[str, Any] = {
        "_type": STATEMENT_TYPE,
        "predicateType": PREDICATE_TYPE,
        "subject": [{"name": "a", "digest": {"gitCommit": "a" * 40}}, {"name": "p", "digest": {"sha256": "c" * 64}}],
        "predicate": {
            "issuer": "https://here",
            "commit": "a" * 40,
            "repository": {"name": "acme/infra"},
            "plan": {"digest": "c" * 64},
            "confirmation": confirmation,
            "stack": {"name": "app", "settingsDigest": "d" * 64},
            "result": "applied",
        },
    }
    assert read_statement(json.dumps(told).encode(), issuer="https://here", commit="a" * 40) == told
    with pytest.raises(UserError, match="not of https://there"):
        read_statement(json.dumps(told).encode(), issuer="https://there")
    with pytest.raises(UserError, match="not of b"):
        read_statement(json.dumps(told).encode(), commit="b" * 40)
    change(told)
    with pytest.raises(UserError, match=re.escape(said)):
        read_statement(json.dumps(told).encode())
