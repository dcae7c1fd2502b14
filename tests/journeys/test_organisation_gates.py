"""Between an owner's push and the moment at which a repository has taken it in, nothing of the repository moves on."""

import hashlib

import pytest
from ulid import ULID

from app.core.errors import LeaseLost
from app.core.names import AccountId, AssignmentId, Digest, OrganisationVersionId, RepositoryId, RunId, Sha
from app.core.organisation import Organisation, OrganisationVersion
from app.core.organisationfile import read_organisation
from app.core.plan import PlanSummary
from app.core.protocol import (
    ApplyRequest,
    Assignment,
    ClaimRequest,
    Next,
    Outcome,
    PlanReport,
    ResultReport,
    Stage,
    StageReport,
)
from app.core.run import RunState
from app.core.workers import Drained
from app.sandbox import Repo
from tests.driver import World

STACKS = "version: 1\nstacks:\n  - {name: app, project_root: app}\n"
ELSEWHERE = STACKS.replace("project_root: app", "project_root: app, worker_pool: elsewhere")
AUTODEPLOY = ELSEWHERE.replace("project_root: app", "project_root: app, autodeploy: true")
CODE = 'resource "terraform_data" "web" { input = "one" }\n'
HARMLESS = "version: 1\nmodule_repositories: {infra: [mod]}\n"
DIGEST = "a" * 64


def replace_settings(world: World, repo: Repo, text: str) -> None:
    """Settings come into force, and nobody has taken them in yet."""
    settings = read_organisation(text.encode())
    assert isinstance(settings, Organisation)
    owner = AccountId(repo.record.owner.id)
    with world.plane.store.begin() as tx:
        tx.lock_organisation(owner)
        tx.add_organisation_version(
            OrganisationVersion(
                id=OrganisationVersionId(str(ULID())),
                owner_id=owner,
                repository_id=RepositoryId(repo.id),
                sha=Sha(repo.sha()),
                digest=Digest("b" * 64),
                is_valid=True,
                organisation=settings,
            )
        )


def claim(world: World) -> Assignment | None:
    """A worker of the pool asks for work."""
    given = world.plane.doors.work.claim("elsewhere", ClaimRequest(worker="by hand"))
    assert not isinstance(given, Drained)
    return given


def plan(world: World, held: Assignment) -> Next:
    """The worker makes a plan with changes."""
    work, hold = world.plane.doors.work, AssignmentId(held.id)
    stage = StageReport(fencing=held.fencing, stage=Stage.INITIALIZING, state_mode="managed")
    work.stage(hold, held.token, stage)
    work.stage(hold, held.token, StageReport(fencing=held.fencing, stage=Stage.PLANNING))
    report = PlanReport(
        fencing=held.fencing, digest=DIGEST, engine="terraform 1.11.4", has_changes=True, summary=PlanSummary()
    )
    return work.report_plan(hold, held.token, report).next


def test_a_confirmation_waits_until_the_settings_are_taken_in(world: World) -> None:
    """It is refused with the way on; when they changed nothing of the stack, the same plan is confirmed then."""
    repo = world.repository({".trackside/stacks.yml": STACKS, "app/main.tf": CODE})
    world.expect_state(RunState.UNCONFIRMED)
    replace_settings(world, repo, HARMLESS)

    world.comment_on_commit(repo, repo.sha(), "/trackside confirm")

    world.expect_state(RunState.UNCONFIRMED)
    assert "the organisation's settings changed a moment ago" in world.remarks(repo, repo.sha())[-1]
    world.plane.tasks.renew(RepositoryId(repo.id))
    world.comment_on_commit(repo, repo.sha(), "/trackside confirm")
    world.expect_state(RunState.FINISHED)


def test_a_worker_gets_nothing_until_the_settings_are_taken_in(world: World) -> None:
    """Neither plans nor applies are handed out with settings that were replaced."""
    repo = world.repository({".trackside/stacks.yml": ELSEWHERE, "app/main.tf": CODE})
    world.wait_carried_out()
    replace_settings(world, repo, "version: 1\ndefaults: {environment: {REGION: eu}}\n")

    assert claim(world) is None
    world.plane.tasks.renew(RepositoryId(repo.id))

    held = claim(world)
    assert held is not None
    assert held.environment == {"REGION": "eu"}


def test_a_deployment_and_a_retry_wait_until_the_settings_are_taken_in(world: World) -> None:
    """What they say of the stack is not known yet; the same words a moment later do it."""
    repo = world.repository({".trackside/stacks.yml": ELSEWHERE, "app/main.tf": CODE})
    world.wait_carried_out()
    first = world.the_run("app")
    assert world.operate("cancel", first.id).returncode == 0
    replace_settings(world, repo, HARMLESS)
    app = first.stack_id

    for refused in (world.operate("deploy", app), world.operate("retry", first.id)):
        assert (refused.returncode, "settings changed a moment ago" in refused.stdout) == (1, True)
    assert len(world.runs("app")) == 1

    world.plane.tasks.renew(RepositoryId(repo.id))
    assert world.operate("retry", first.id).returncode == 0
    assert world.operate("cancel", world.runs("app")[-1].id).returncode == 0
    assert world.operate("deploy", app).returncode == 0
    assert len(world.runs("app")) == 3


def test_an_event_takes_the_settings_in_by_itself(world: World) -> None:
    """Whatever comes first, the job or the repository's next event: it is decided with what is in force."""
    repo = world.repository({".trackside/stacks.yml": ELSEWHERE, "app/main.tf": CODE})
    world.wait_carried_out()
    replace_settings(world, repo, "version: 1\ndefaults: {labels: [acme]}\n")
    world.push(repo, {"app/main.tf": CODE + "# two\n"}, "Work", branch="work")
    world.wait_carried_out()
    (stack,) = world.plane.store.list_all_stacks()
    assert stack.settings.labels == ("acme",)


def test_autodeploy_leaves_a_plan_to_a_person_when_settings_were_replaced(world: World) -> None:
    """What the settings in force say of the stack is not known yet."""
    repo = world.repository({".trackside/stacks.yml": AUTODEPLOY, "app/main.tf": CODE})
    world.wait_carried_out()
    held = claim(world)
    assert held is not None
    replace_settings(world, repo, HARMLESS)
    assert plan(world, held) is Next.ARCHIVE
    assert world.sql("SELECT count(*) FROM confirmations") == [(0,)]


def test_an_apply_does_not_begin_when_settings_were_replaced_meanwhile(world: World) -> None:
    """The run is confirmed again, and goes on by itself when its settings turn out to be the same."""
    repo = world.repository({".trackside/stacks.yml": ELSEWHERE, "app/main.tf": CODE})
    world.wait_carried_out()
    work, first = world.plane.doors.work, claim(world)
    assert first is not None
    assert plan(world, first) is Next.ARCHIVE
    work.put_archive(AssignmentId(first.id), first.token, first.fencing, iter([b"workspace"]))
    stored = ResultReport(
        fencing=first.fencing,
        outcome=Outcome.PLANNED,
        archive_size_bytes=len(b"workspace"),
        archive_sha256=hashlib.sha256(b"workspace").hexdigest(),
    )
    work.report_result(AssignmentId(first.id), first.token, stored)
    assert world.operate("confirm", first.run_id).returncode == 0
    second = claim(world)
    assert second is not None
    replace_settings(world, repo, HARMLESS)
    request = ApplyRequest(fencing=second.fencing, digest=DIGEST, engine="terraform 1.11.4")

    with pytest.raises(LeaseLost):
        work.begin_apply(AssignmentId(second.id), second.token, request)

    with world.plane.store.begin() as tx:
        assert tx.get_run(RunId(first.run_id)).state is RunState.CONFIRMED
    assert claim(world) is None
    world.plane.tasks.renew(RepositoryId(repo.id))
    third = claim(world)
    assert third is not None
    again = ApplyRequest(fencing=third.fencing, digest=DIGEST, engine="terraform 1.11.4")
    work.begin_apply(AssignmentId(third.id), third.token, again)
    with world.plane.store.begin() as tx:
        assert tx.get_run(RunId(first.run_id)).state is RunState.APPLYING
    work.report_result(
        AssignmentId(third.id), third.token, ResultReport(fencing=third.fencing, outcome=Outcome.APPLIED)
    )
