"""The outbox without its jobs: a real database and GitHub's stand-in, and tests that publish by hand, one report after
the other, and let time pass as they please."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec
from sqlalchemy import text
from ulid import ULID

from app.core.errors import RetryableError
from app.core.event import HANDLED_EVENTS, Repository
from app.core.names import (
    AccountId,
    AssignmentId,
    ConfigVersionId,
    DeliveryId,
    Digest,
    InstallationId,
    ReportId,
    RepositoryId,
    RunId,
    Sha,
)
from app.core.record import ConfigVersion, NewDelivery, ReportKind
from app.core.reply import CheckReport, CheckStatus, Conclusion
from app.core.run import Run, RunState, RunType, Step, Transition, Trigger, advance, confirm
from app.core.stack import Stack, StackSettings, StackSpec
from app.flows.publish import lane_of
from app.flows.publish_notices import Notice, subject_of
from app.flows.publish_replies import Reply
from app.sandbox import Repo
from app.sandbox.hooks import Delivery
from app.sandbox.records import CheckRun, RequestRecord
from app.store.schema import IS_LIVE
from tests.driver import OWNER, World, open_quiet_world
from tests.store.world import hold_of, plan_of

WAITING = (RunState.READY, RunState.REPLAN_REQUESTED)
CONFIG = ConfigVersionId("01CONFIG")
MOMENTS = {
    "remotes": ("published_at", "made_at"),
    "assignments": ("told_at", "created_at"),
    "runs": ("created_at", "updated_at", "expires_at"),
    "procrastinate_jobs": ("scheduled_at",),
    "budgets": ("answers_from", "conclusions_from", "progress_from"),
}
"""What remembers when, for the reports: time passes by moving it back."""
TRIES = 12
"""How often a test publishes what is behind before it gives up."""


@dataclass
class Outbox:
    """A repository of acme with stacks, whose runs are moved by hand."""

    world: World
    repo: Repo
    repository: Repository

    def stack(self, name: str = "net", *, environment: str = "", autodeploy: bool = False) -> Stack:
        """A stack on branch main."""
        settings = StackSettings(
            name=name, branch="main", github_environment=environment or name, autodeploy=autodeploy
        )
        with self.world.plane.store.begin() as tx:
            return tx.add_stack(self.repository.id, StackSpec(settings=settings), CONFIG)

    def run(
        self, stack: Stack, *, kind: RunType = RunType.TRACKED, sha: str = "", pull_number: int | None = None
    ) -> Run:
        """A run of the repository's head (or of another commit, of a pull request) that waits for a worker."""
        head = Sha(sha or self.repo.sha())
        with self.world.plane.store.begin() as tx:
            run = Run(
                id=RunId(str(ULID())),
                stack_id=stack.id,
                stack_name=stack.name,
                repository_id=stack.repository_id,
                type=kind,
                state=RunState.READY,
                head_sha=head,
                source_sha=head,
                ref="refs/heads/main",
                head_seq=0,
                stack_digest=stack.settings.digest(),
                config_version_id=CONFIG,
                decision_id=None,
                trigger=Trigger.PUSH,
                triggered_by="alice",
                message="change it",
                created_at=tx.now(),
                updated_at=tx.now(),
                pull_number=pull_number,
            )
            assert tx.add_run(run, event_key=None)
        return run

    def move(self, run: Run, *steps: Step, cause: str = "") -> Run:
        """The run after those steps."""
        for each in steps:
            with self.world.plane.store.begin() as tx:
                at = tx.now()
                run = tx.change_run(run.id, partial(advance, step=each, by="w1", at=at, cause=cause))
        return run

    def begin(self, run: Run) -> AssignmentId:
        """A worker has the run, and plans it or prepares its apply; the assignment."""
        with self.world.plane.store.begin() as tx:
            at = tx.now()
            claimed = tx.claim("default", hold_of(), lambda found: advance(found, Step.CLAIM, by="w1", at=at))
        assert claimed is not None
        assert claimed[0].id == run.id, "another run waits as well"
        if claimed[0].state is RunState.PREPARING:
            self.move(run, Step.INITIALIZE, Step.PLAN)
        elif claimed[0].state is RunState.PREPARING_REPLAN:
            self.move(run, Step.PLAN)
        return claimed[1].id

    def plan(self, run: Run) -> Run:
        """The run is planned: a tracked one waits, a proposed one has ended."""
        hold = self.begin(run)
        with self.world.plane.store.begin() as tx:
            at = tx.now()
            what = Step.AWAIT if run.type.is_state_changing else Step.FINISH

            def planned(found: Run) -> tuple[Run, Transition]:
                return advance(replace(found, plan=plan_of(found.plan_number)), what, by="w1", at=at)

            after = tx.change_run(run.id, planned)
            tx.end_assignment(hold)
        return after

    def replan(self, run: Run) -> Run:
        """Alice wants the next plan."""
        with self.world.plane.store.begin() as tx:
            at = tx.now()

            def again(found: Run) -> tuple[Run, Transition]:
                fresh = replace(found, plan=None, plan_number=found.plan_number + 1, decided_by="alice")
                return advance(fresh, Step.REPLAN, by="alice", at=at)

            return tx.change_run(run.id, again)

    def confirm(self, run: Run) -> Run:
        """Alice confirms the plan that waits."""
        with self.world.plane.store.begin() as tx:
            at = tx.now()
            proof = confirm(tx.get_run(run.id), stack_digest=run.stack_digest, actor="alice", at=at)
            tx.add_confirmation(proof)

            def accept(found: Run) -> tuple[Run, Transition]:
                known = replace(found, confirmed_digest=proof.plan_digest, decided_by="alice")
                return advance(known, Step.CONFIRM, by="alice", at=at)

            return tx.change_run(run.id, accept)

    def apply(self, run: Run) -> AssignmentId:
        """A worker applies the confirmed run; the assignment."""
        hold = self.begin(run)
        self.move(run, Step.APPLY)
        return hold

    def finish(self, run: Run, hold: AssignmentId) -> Run:
        """The apply ended well."""
        after = self.move(run, Step.FINISH)
        with self.world.plane.store.begin() as tx:
            tx.end_assignment(hold)
        return after

    def deploy(self, run: Run) -> Run:
        """All of it: planned, confirmed, applied."""
        self.plan(run)
        self.confirm(run)
        return self.finish(run, self.apply(run))

    def pull(self, branch: str) -> int:
        """A pull request of that branch, by its number."""
        self.repo.push(branch, files={f"{branch}.tf": "#\n"}, message=branch, author="alice")
        return self.repo.open_pull(branch, title=branch, author="alice")

    def say(self, body: str, number: int) -> None:
        """A reply to a person is wanted in a pull request."""
        document = msgspec.json.encode(Reply(body=body, pull_number=number))
        with self.world.plane.store.begin() as tx:
            tx.want_report(ReportKind.REPLY, self.repository.id, f"comment/{body}", run_id=None, document=document)

    def notify(self, key: str, body: str, number: int) -> None:
        """A notification policy wants that said in a pull request, in its comment of that key."""
        subject, document = subject_of(number, "tell", key), msgspec.json.encode(Notice(pull_number=number, body=body))
        with self.world.plane.store.begin() as tx:
            tx.want_report(ReportKind.NOTICE, self.repository.id, subject, run_id=None, document=document)

    def replies_behind(self) -> list[Reply]:
        """The answers that are not said yet."""
        with self.world.plane.store.begin() as tx:
            found = [tx.find_report(report) for report in self.behind()]
        answers = [one for one in found if one is not None and one.kind is ReportKind.REPLY]
        return [msgspec.json.decode(one.document, type=Reply) for one in answers]

    def want_check(self, report: CheckReport) -> None:
        """A check with those words is wanted."""
        subject, document = f"{report.head_sha}/{report.name}", msgspec.json.encode(report)
        with self.world.plane.store.begin() as tx:
            tx.want_report(ReportKind.CHECK, self.repository.id, subject, run_id=None, document=document)

    def want_note(self, name: str) -> None:
        """A check of that name is wanted, already completed."""
        self.want_check(
            CheckReport(
                name=name,
                head_sha=Sha(self.repo.sha()),
                external_id="note",
                status=CheckStatus.COMPLETED,
                conclusion=Conclusion.SUCCESS,
                title=name,
                summary="-",
                text="",
                details_url="https://trackside.example",
            )
        )

    # publishing
    def jobs_for_later(self) -> int:
        """How many looks at reports are due some time from now."""
        ((count,),) = self.world.sql(
            "SELECT count(*) FROM procrastinate_jobs JOIN reports ON lock = 'report:' || reports.id"
            " WHERE published < wanted AND scheduled_at > clock_timestamp()"
        )
        return int(str(count))

    def behind(self) -> list[ReportId]:
        """The reports that do not stand as they should, in the order in which their jobs are fetched."""
        rows = self.world.sql(
            "SELECT id FROM reports WHERE published < wanted ORDER BY (SELECT max(priority) FROM procrastinate_jobs"
            " WHERE lock = 'report:' || reports.id) DESC, created_at, id"
        )
        return [ReportId(str(row[0])) for row in rows]

    def publish_once(self) -> list[str]:
        """A job of each report that is behind; the errors that procrastinate would try again after."""
        errors = []
        for report in self.behind():
            self._take_jobs(report)
            try:
                self.world.plane.tasks.publish(report)
            except RetryableError as error:
                errors.append(str(error))
                self._try_again(report)
        return errors

    def _try_again(self, report: ReportId) -> None:
        """As `app.jobs` does it."""
        with self.world.plane.store.begin() as tx:
            record = tx.find_report(report)
            assert record is not None
            tx.defer_publish(report, in_s=60, lane=lane_of(record.kind))

    def _take_jobs(self, report: ReportId) -> None:
        """The jobs of a report that are due have been fetched."""
        taken = "DELETE FROM procrastinate_jobs WHERE lock = 'report:' || :id AND scheduled_at <= clock_timestamp()"
        with self.world.plane.store.begin() as tx:
            tx._connection.execute(text(taken), {"id": report})

    def publish(self) -> None:
        """Publish until everything stands, and let more and more time pass in between."""
        for number in range(TRIES):
            self.publish_once()
            if not self.behind():
                return
            self.pass_time(20 * 2 ** min(number, 6))
        raise AssertionError(f"reports are still behind: {self.world.unsettled()}")

    def pass_time(self, seconds: float) -> None:
        """So much time passes, on GitHub and for the reports."""
        self.world.github.clock.advance(seconds)
        with self.world.plane.store.begin() as tx:
            for table, columns in MOMENTS.items():
                moved = ", ".join(f"{one} = {one} - make_interval(secs => :s)" for one in columns)
                live = f" WHERE {IS_LIVE}" if table == "runs" else ""
                tx._connection.execute(text(f"UPDATE {table} SET {moved}{live}"), {"s": seconds})  # noqa: S608 - ours
            taken = "ARRAY(SELECT one - make_interval(secs => :s) FROM unnest(taken) AS one)"
            tx._connection.execute(text(f"UPDATE budgets SET taken = {taken}"), {"s": seconds})  # noqa: S608 - ours

    # what stands
    def all_checks(self) -> list[CheckRun]:
        """Every check run of the head, oldest first."""
        return sorted(self.repo.check_runs(latest=False), key=lambda one: one.id)

    def checks(self, name: str = "deploy/net") -> list[tuple[str, str, str | None]]:
        """External id without its run, status and conclusion of every check run of that name, oldest first."""
        return [
            ((one.external_id or "").partition("/")[2], one.status, one.conclusion)
            for one in self.all_checks()
            if one.name == name
        ]

    def statuses(self, environment: str = "net") -> list[list[str]]:
        """What was said of each deployment of an environment, oldest first."""
        found = sorted(self.repo.deployments(environment=environment), key=lambda one: one.id)
        return [[status.state for status in one.statuses] for one in found]

    def deliver_newest(self, event: str) -> None:
        """GitHub's newest delivery of an event is carried out, as its job does."""
        self.world.github.wait_deliveries()
        self.take_in(next(one for one in reversed(self.world.github.deliveries) if one.event == event))

    def deliver(self, *, newest_first: bool = False, again: bool = False) -> None:
        """Everything that GitHub has told since the last time (or all of it `again`) is carried out."""
        self.world.github.wait_deliveries()
        told = {str(row[0]) for row in self.world.sql("SELECT guid FROM deliveries")}
        for found in sorted(self.world.github.deliveries, key=lambda one: one.id, reverse=newest_first):
            if (again or found.guid not in told) and found.event in HANDLED_EVENTS:
                self.take_in(found)

    def take_in(self, found: Delivery) -> None:
        """A delivery is stored and carried out, as the door and its job do it."""
        guid, event = DeliveryId(found.guid), found.event
        arrived = NewDelivery(guid=guid, event=event, body=found.body, lane="lane")
        self.world.plane.store.record_deliveries([arrived])
        self.world.plane.tasks.deliver(guid)

    def plan_all(self, *, at_once: int = 4) -> None:
        """Workers plan what waits, so many at once, and reports are published meanwhile."""
        while waiting := [run for run in self.world.plane.store.list_recent_runs(limit=1000) if run.state in WAITING]:
            order = sorted(waiting, key=lambda run: (run.created_at, run.id))[:at_once]
            for run in sorted(order, key=lambda run: run.type is RunType.PROPOSED):
                self.plan(run)
            self.publish_once()
            self.pass_time(4)
        self.publish()

    def counted(self) -> int:
        """How many writes of the last hour the installation's budget knows of."""
        ((count,),) = self.world.sql("SELECT cardinality(taken) FROM budgets")
        return int(str(count))

    def writes(self) -> list[RequestRecord]:
        """What the App wrote to GitHub."""
        return [one for one in self.world.github.requests if one.method != "GET" and "access_tokens" not in one.path]


@contextmanager
def open_outbox(root: Path, database_url: str, **variables: str) -> Iterator[Outbox]:
    """A repository with a commit, known to Trackside; nothing of Trackside runs."""
    with open_quiet_world(root, database_url, 9, variables) as world:
        repo = world.repository({"main.tf": "# nothing\n"})
        installation = world.github.installation(OWNER)
        repository = Repository(
            id=RepositoryId(repo.id),
            owner=OWNER,
            name="infra",
            default_branch="main",
            is_private=True,
            installation_id=InstallationId(installation.id),
            owner_id=AccountId(installation.account.id),
        )
        with world.plane.store.begin() as tx:
            tx.save_repository(repository)
            tx.save_installation(repository.installation_id, OWNER, is_active=True)
            tx.add_config_version(
                ConfigVersion(
                    id=CONFIG,
                    repository_id=repository.id,
                    sha=Sha(repo.sha()),
                    digest=Digest("c" * 64),
                    is_valid=True,
                )
            )
        yield Outbox(world, repo, repository)
