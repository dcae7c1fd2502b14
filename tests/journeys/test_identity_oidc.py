"""The identity token of a run, as a cloud sees it: a real verifier, the served documents, and nothing else of us."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from app.core.names import AssignmentId
from app.core.protocol import Heartbeat
from app.core.run import RunState
from app.core.signing import Purpose
from tests.driver import World, open_world

STACKS = """
version: 1
stacks:
  - {name: app, project_root: app, worker_pool: mine, oidc: {audience: [sts.amazonaws.com]}}
"""
SHOWING = """
version: 1
stacks:
  - name: app
    project_root: app
    environment: {AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/network"}
"""
MINE = "a-token-of-the-pool-called-mine"


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    """A world whose runs can write to this machine, so that a test sees what they see."""
    with open_world(tmp_path, database_url, ISOLATION="none") as made:
        yield made


def verified(world: World, token: str, audience: str) -> dict[str, Any]:
    """The claims of a token, as a cloud that trusts our issuer reads them: by discovery, over HTTP."""
    found = httpx.get(f"{world.url}/.well-known/openid-configuration").json()
    assert found["issuer"] == world.url
    assert found["id_token_signing_alg_values_supported"] == ["RS256"]
    key = jwt.PyJWKClient(found["jwks_uri"], cache_keys=False).get_signing_key_from_jwt(token)
    claims: dict[str, Any] = jwt.decode(
        token,
        key.key,
        algorithms=["RS256"],
        audience=audience,
        issuer=found["issuer"],
        options={"require": ["exp", "sub"]},
    )
    return claims


def test_a_runs_token_says_who_it_is_and_survives_a_rotation_of_keys(world: World) -> None:
    """Plan and apply carry their own subject; the apply names plan and person; an old key's tokens stay good."""
    repo = world.repository()
    code = 'resource "terraform_data" "web" { input = "one" }\n'
    sha = world.push(repo, {".trackside/stacks.yml": STACKS, "app/main.tf": code}, "First")
    work = world.plane.doors.work
    world.wait_for(RunState.READY)
    given = world.take("mine")
    claims = verified(world, given.oidc_token, "sts.amazonaws.com")
    assert claims["sub"] == "repo:acme/infra:stack:app:run_type:tracked:phase:plan"
    assert (claims["sha"], claims["run_id"], claims["repository_id"]) == (sha, given.run_id, str(repo.id))
    assert (claims["ref"], claims["worker_pool"]) == ("refs/heads/main", "mine")
    assert claims["exp"] - claims["iat"] == 900
    assert "confirmed_by" not in claims
    with pytest.raises(jwt.InvalidAudienceError):
        verified(world, given.oidc_token, "somebody.else")

    before = jwt.get_unverified_header(given.oidc_token)["kid"]
    rotated = world.operate("oidc", "rotate")
    assert rotated.returncode == 0, rotated.stderr
    after = world.plane.identity.key_set(Purpose.OIDC)["keys"][0]["kid"]  # type: ignore[index] # a JSON document
    assert f"key {after} from now on" in rotated.stdout
    hold, beat = AssignmentId(given.id), Heartbeat(fencing=given.fencing, wants_token=True)
    renewed = work.heartbeat(hold, given.token, beat).oidc_token
    assert jwt.get_unverified_header(renewed)["kid"] == after != before
    assert verified(world, renewed, "sts.amazonaws.com")["jti"] != claims["jti"]
    assert verified(world, given.oidc_token, "sts.amazonaws.com") == claims, "signed before the rotation"
    assert work.heartbeat(hold, given.token, Heartbeat(fencing=given.fencing)).oidc_token == ""

    world.sql("UPDATE signing_keys SET retired_at = retired_at - interval '1 hour' RETURNING id")
    served = httpx.get(f"{world.url}/.well-known/jwks.json")
    assert [key["kid"] for key in served.json()["keys"]] == [after], "its last token is over"
    assert served.headers["cache-control"] == "public, max-age=300"
    assert set(served.json()["keys"][0]) == {"kty", "n", "e", "kid", "use", "alg"}, "public parts alone"
    with pytest.raises(jwt.PyJWKClientError):
        verified(world, given.oidc_token, "sts.amazonaws.com")


def test_the_engine_finds_its_token_in_a_private_file_and_the_apply_has_its_own(world: World, tmp_path: Path) -> None:
    """TRACKSIDE_OIDC_TOKEN_FILE, and what AWS' tools look for; of mode 0600, in no log, in no archive."""
    out = tmp_path / "seen"
    code = f"""
    resource "terraform_data" "web" {{
      provisioner "local-exec" {{
        command = <<-EOT
          stat -c %a $TRACKSIDE_OIDC_TOKEN_FILE > '{out}'
          cat $AWS_WEB_IDENTITY_TOKEN_FILE >> '{out}'
          cat $AWS_WEB_IDENTITY_TOKEN_FILE
          echo " $AWS_ROLE_SESSION_NAME"
        EOT
      }}
    }}
    """
    repo = world.repository()
    sha = world.push(repo, {".trackside/stacks.yml": SHOWING, "app/main.tf": code}, "First")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    world.press(plan, "Confirm")
    run = world.expect_state(RunState.FINISHED)
    mode, _, token = out.read_text().partition("\n")
    assert stat.S_IMODE(int(mode, 8)) == 0o600
    claims = verified(world, token, "127.0.0.1")
    assert claims["sub"] == "repo:acme/infra:stack:app:run_type:tracked:phase:apply"
    assert run.plan is not None
    assert (claims["plan_digest"], claims["confirmed_by"]) == (run.plan.digest, "alice")
    assert token not in world.log(run)
    assert f"trackside-{run.id}" in world.log(run)
    assert token not in json.dumps(world.sql("SELECT * FROM assignments"), default=str)


def test_an_autodeployed_run_changes_its_subject_and_its_variables_when_it_applies(
    world: World, tmp_path: Path
) -> None:
    """One assignment plans and applies: the engine that applies is a writer, and its token says apply."""
    out = tmp_path / "seen"
    code = f"""
    resource "terraform_data" "web" {{
      provisioner "local-exec" {{ command = "printenv ROLE > '{out}'; cat $TRACKSIDE_OIDC_TOKEN_FILE >> '{out}'" }}
    }}
    """
    stacks = (
        "version: 1\nstacks:\n  - {name: app, project_root: app, autodeploy: true, "
        "environment: {ro_ROLE: reader, wo_ROLE: writer}}\n"
    )
    repo = world.repository()
    sha = world.push(repo, {".trackside/stacks.yml": stacks, "app/main.tf": code}, "First")
    world.expect_check(repo, sha, "deploy/app", "success")
    role, _, token = out.read_text().partition("\n")
    assert role == "writer"
    claims = verified(world, token, "127.0.0.1")
    assert claims["phase"] == "apply"
    assert claims["confirmed_by"] == "autodeploy"
