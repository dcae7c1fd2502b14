"""Secrets that do not print, identifiers, and settings that come back as they were stored."""

import json
import logging
import pickle
from dataclasses import fields, replace

import pytest

from app.core.dependency import Dependency
from app.core.names import ZERO_SHA, Secret, is_sha
from app.core.stack import (
    LATER,
    TOLD_ALONE,
    UNBOUND,
    Comments,
    Permission,
    PolicySpec,
    StackSettings,
    StateMode,
    Tool,
    settings_from_json,
)

FULL = StackSettings(
    name="network",
    project_root="infra/network",
    branch="main",
    additional_project_globs=("modules/**",),
    labels=("prod", "ä"),
    tool=Tool.OPENTOFU,
    version="~> 1.9",
    workspace="blue",
    var_files=("env/prod.tfvars",),
    backend_config=("env/prod.backend",),
    state=StateMode.MANAGED,
    autodeploy=True,
    allow_promotion=True,
    environment={"TF_VAR_region": "eu-west-1", "ro_A": "1"},
    confirm_permission=Permission.ADMIN,
    github_environment="production",
    worker_pool="gpu",
    hooks={"before_init": ("./prepare.sh",), "after_run": ("a", "b")},
    secrets={"wo_TOKEN": "DEPLOY_TOKEN"},
    oidc_audience=("sts.amazonaws.com",),
    submodules=True,
    lfs=True,
    confirm_roles=("maintain",),
    confirm_teams=("platform",),
    confirm_not_author=True,
    public_plans=True,
    depends_on=(Dependency(stack="vpc", outputs={"vpc_id": "TF_VAR_vpc_id"}, trigger_always=True, sensitive=True),),
    drift_schedules=("0 6 * * *", "30 18 * * mon-fri"),
    drift_timezone="Europe/Berlin",
    drift_reconcile=True,
    drift_ignore_state=True,
)


def test_a_secret_shows_itself_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret("hunter2")
    logging.getLogger("test").warning("it is %s and %r", secret, {"key": secret})
    shown = f"{secret} {secret!r} {secret:>10} {[secret]} {caplog.text} {Exception(secret)}"
    assert "hunter2" not in shown
    assert "***" in shown
    assert secret.reveal() == "hunter2"


def test_a_secret_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret("hunter2"))


def test_secrets_compare_with_secrets_alone() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert hash(Secret("a")) == hash(Secret("a"))
    assert not Secret("")
    assert Secret("a")


@pytest.mark.parametrize("text", ["", "a" * 39, "a" * 41, "A" * 40, "g" * 40, "a" * 40 + "\n", "main"])
def test_what_is_no_full_commit_is_no_sha(text: str) -> None:
    assert not is_sha(text)


def test_a_full_commit_is_a_sha() -> None:
    assert is_sha("0123456789abcdef" * 2 + "01234567")
    assert is_sha(ZERO_SHA)


@pytest.mark.parametrize("settings", [FULL, StackSettings(name="x")])
def test_settings_come_back_as_they_were_stored(settings: StackSettings) -> None:
    assert settings_from_json(settings.canonical_json()) == settings
    assert settings_from_json(settings.canonical_json()).digest() == settings.digest()


@pytest.mark.parametrize("field", sorted({field.name for field in fields(StackSettings)} - UNBOUND))
def test_every_setting_is_part_of_what_a_confirmation_binds(field: str) -> None:
    other = replace(FULL, **{field: getattr(StackSettings(name="other"), field)})
    assert other.digest() != FULL.digest()


def test_what_is_only_told_is_no_part_of_it() -> None:
    assert {"comments", "public_plans"} == TOLD_ALONE
    assert replace(FULL, public_plans=not FULL.public_plans).digest() == FULL.digest()
    assert replace(FULL, comments=Comments.OFF).digest() == FULL.digest()


def test_when_drift_is_looked_for_voids_no_confirmation() -> None:
    assert replace(FULL, drift_schedules=("0 7 * * *",), drift_reconcile=False).digest() == FULL.digest()
    assert replace(FULL, drift_timezone="", drift_ignore_state=False).digest() == FULL.digest()


def test_the_order_of_variables_is_not_part_of_the_digest() -> None:
    turned = replace(FULL, environment=dict(reversed(FULL.environment.items())))
    assert turned.digest() == FULL.digest()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"name": "x", "tool": "cdk"}', '{"name": "x", "new_key": 1}', "null"]
)
def test_a_stored_text_that_is_no_settings_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - three libraries' words for the same refusal
        settings_from_json(text)


def test_no_plain_json_of_another_shape_is_taken_for_settings() -> None:
    assert json.loads(FULL.canonical_json())["name"] == "network"


def test_permissions_rank_from_none_to_admin() -> None:
    assert [permission.rank for permission in Permission] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("policy", "is_attached"),
    [
        (PolicySpec(name="p", type="push", path="p.rego", attach_names=("network",)), True),
        (PolicySpec(name="p", type="push", path="p.rego", attach_names=("dns",)), False),
        (PolicySpec(name="p", type="push", path="p.rego", attach_labels=("prod",)), True),
        (PolicySpec(name="p", type="push", path="p.rego", attach_labels=("dev",)), False),
        (PolicySpec(name="p", type="push", path="p.rego", attach_all=True), True),
    ],
)
def test_a_policy_speaks_about_what_it_is_attached_to(policy: PolicySpec, is_attached: bool) -> None:
    assert policy.is_attached_to(FULL) is is_attached


def test_a_setting_of_a_later_version_that_says_nothing_changes_no_digest() -> None:
    """What waited for a person before an upgrade can be confirmed after it."""
    before = StackSettings(name="network", branch="main", environment={"A": "1"})
    assert not LATER & json.loads(before.canonical_json()).keys()
    assert settings_from_json(before.canonical_json()) == before
    assert settings_from_json(FULL.canonical_json()) == FULL
