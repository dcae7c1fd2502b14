"""The real AWS provider, against a stand-in of AWS: a bucket and a parameter, from a push to what is there.

The provider is looked for in TEST_PROVIDERS_DIR (laid out as a filesystem mirror: HOST/NAMESPACE/TYPE/VERSION/SYSTEM),
and where terraform itself looks; where there is none, nothing is tried, and the skip says so.
"""

import base64
import os
import shutil
from pathlib import Path

import boto3
import pytest

from app.core.run import RunState
from app.engine.providers import content_digest
from app.engine.release import system
from tests.driver import World, open_world, wait_until

HOST = "registry.terraform.io"
PLACES = (
    os.environ.get("TEST_PROVIDERS_DIR", ""),
    "~/.terraform.d/plugins",
    "~/.local/share/terraform/plugins",
    "/usr/local/share/terraform/plugins",
    "/usr/share/terraform/plugins",
    "/opt/tf-plugins",
)
"""Source: https://developer.hashicorp.com/terraform/cli/config/config-file#implied-local-mirror-directories"""
STACKS = "version: 1\nstacks:\n  - {name: app, project_root: app}\n"
CODE = """
terraform {{
  required_providers {{ aws = {{ source = "hashicorp/aws", version = "{version}" }} }}
}}
provider "aws" {{
  region                      = "eu-west-1"
  access_key                  = "test-key"
  secret_key                  = "test-secret"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  s3_use_path_style           = true
  endpoints {{
    s3  = "{url}"
    ssm = "{url}"
    sts = "{url}"
  }}
}}
resource "aws_s3_bucket" "artifacts" {{ bucket = "{bucket}" }}
resource "aws_ssm_parameter" "bucket" {{
  name  = "/{bucket}/name"
  type  = "String"
  value = aws_s3_bucket.artifacts.bucket
}}
output "bucket" {{ value = aws_s3_bucket.artifacts.bucket }}
"""
LOCK = """
provider "registry.terraform.io/hashicorp/aws" {{
  version     = "{version}"
  constraints = "{version}"
  hashes = [
    "{h1}",
  ]
}}
"""
SLOW_S = 400.0
"""The provider is started three times by each plan, and is 700 MB."""


def find_package() -> Path | None:
    """The unpacked package of the newest AWS provider on this machine, or None."""
    found = [
        package
        for place in PLACES
        if place
        for package in Path(place).expanduser().glob(f"{HOST}/hashicorp/aws/*/{system()}")
        if any(package.glob("terraform-provider-aws*"))
    ]
    return max(found, key=lambda path: [int(part) for part in path.parent.name.split(".")], default=None)


PACKAGE = find_package()
pytestmark = [
    pytest.mark.aws,
    pytest.mark.skipif(
        PACKAGE is None,
        reason="SKIPPED: no AWS provider here, so that it is not tried: name a mirror of it in TEST_PROVIDERS_DIR",
    ),
    pytest.mark.timeout(900),
]


@pytest.fixture
def package(tmp_path: Path) -> tuple[Path, str]:
    """The package and its checksum, kept where the worker keeps packages, as if an earlier run had fetched it."""
    assert PACKAGE is not None
    names = [path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*") if path.is_file()]
    digest = content_digest(PACKAGE, names)
    kept = tmp_path / "first" / "worker" / "providers" / "packages"
    kept.mkdir(parents=True)
    for name in names:
        target = kept / digest / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.hardlink_to(PACKAGE / name)
        except OSError:  # on another disk
            shutil.copy2(PACKAGE / name, target)
    return PACKAGE, digest


def wait_for(world: World, state: RunState) -> None:
    """A plan with this provider takes its time."""
    ends = {state, RunState.FAILED}
    wait_until(lambda: bool(world.runs()) and world.runs()[-1].state in ends, f"the run is {state.value}", SLOW_S)
    world.expect_state(state)


def test_a_bucket_and_a_parameter_come_into_being_as_planned(
    tmp_path: Path, database_url: str, moto_url: str, package: tuple[Path, str]
) -> None:
    """Two resources to add, which are there after the confirmation; a second plan finds nothing to do."""
    folder, digest = package
    version, bucket = folder.parent.name, f"trackside-{tmp_path.name.replace('_', '-')[:40]}"
    h1 = "h1:" + base64.b64encode(bytes.fromhex(digest)).decode()
    code = CODE.format(version=version, url=moto_url, bucket=bucket)
    access = {"aws_access_key_id": "test-key", "aws_secret_access_key": "test-secret", "region_name": "eu-west-1"}
    s3 = boto3.client("s3", endpoint_url=moto_url, **access)  # type: ignore[call-overload]
    ssm = boto3.client("ssm", endpoint_url=moto_url, **access)  # type: ignore[call-overload]
    with open_world(tmp_path, database_url) as world:
        repo = world.repository({".trackside/stacks.yml": STACKS})
        files = {"app/main.tf": code, "app/.terraform.lock.hcl": LOCK.format(version=version, h1=h1)}
        sha = world.push(repo, files, "A bucket")
        wait_for(world, RunState.UNCONFIRMED)
        assert world.summary().delta.resources.create == 2
        assert f"provider {HOST}/hashicorp/aws {version}: unpacked already, linked" in world.log(world.the_run())
        assert bucket not in [one["Name"] for one in s3.list_buckets()["Buckets"]]

        world.comment_on_commit(repo, sha, "/trackside confirm")
        wait_for(world, RunState.FINISHED)
        assert bucket in [one["Name"] for one in s3.list_buckets()["Buckets"]]
        assert ssm.get_parameter(Name=f"/{bucket}/name")["Parameter"]["Value"] == bucket
        world.expect_check(repo, sha, "deploy/app", "success")

        again = world.push(repo, {"app/main.tf": code + "\n# the same\n"}, "Nothing")
        wait_until(lambda: len(world.runs()) == 2, "the second run is there")
        wait_for(world, RunState.FINISHED)
        assert "no changes" in (world.expect_check(repo, again, "deploy/app", "success").title or "")
