"""A change of a run's state is told once, by what its stack's policies say; a policy that fails tells nobody."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from app.core import words_notice as words
from app.core.event import Repository
from app.core.names import RunId, Secret, Sha
from app.core.notice import Answer, Endpoint, Kind, Message, Outcome
from app.core.noticetext import VEILED_LOG
from app.core.pull import PullFacts
from app.core.record import ReportKind
from app.core.run import Run, RunState, Step
from app.core.stack import PolicySpec
from app.flows.notify import Notify
from app.policy.pool import OpaPool
from app.store.postgres import PostgresStore
from tests.store.world import make_run, make_stack, step

TELL = """package trackside
import rego.v1
webhook contains {"endpoint_id": "ci"}
slack contains {"channel_id": "C1", "message": "m"}
inbox contains {"title": input.run_updated.state}
"""
THOSE = """
inbox contains {"title": sprintf("%d endpoints", [count(input.webhook_endpoints)])}
"""
COMMENT = """package trackside
import rego.v1
pull_request contains {"commit": input.run_updated.run.commit.hash, "body": input.run_updated.state,
    "deduplication_key": "k"}
pull_request contains {"branch": "gone", "body": "x"}
"""


LOG = """package trackside
import rego.v1
pull_request contains {"commit": input.run_updated.run.commit.hash, "body": "trackside::logs::planning",
    "deduplication_key": "k"}
"""


@pytest.fixture(scope="module")
def policies() -> Iterator[OpaPool]:
    """OPA in one child process."""
    with OpaPool(1) as started:
        yield started


class Recorder:
    """Receivers that nobody posts to here."""

    channels = frozenset({"C1"})

    def post(self, message: Message, endpoint: Endpoint) -> Answer:
        """Taken."""
        return Answer(Kind.TAKEN)


class OnePull:
    """A GitHub where every commit is the head of pull request 7, and no branch has one."""

    def list_changed_pulls(self, repository: Repository, sha: Sha) -> tuple[PullFacts, ...]:
        """Number 7."""
        return (
            PullFacts(
                number=7,
                title="",
                author="ada",
                head_sha=sha,
                head_ref="x",
                head_owner=repository.owner,
                head_repository_id=repository.id,
                base_ref="main",
                base_sha=sha,
                is_draft=False,
                is_closed=False,
                is_merged=False,
            ),
        )

    def list_open_pulls(self, repository: Repository, head_branch: str) -> tuple[PullFacts, ...]:
        """None."""
        return ()


def notify_with(store: PostgresStore, policies: OpaPool, *, is_shared: bool = False) -> Notify:
    return Notify(
        store=store,
        reading=store,
        policies=policies,
        pulls=OnePull(),
        receivers=Recorder(),
        run_url=lambda run_id: f"https://trackside.example/runs/{run_id}",
        web_url="https://github.example",
        is_shared=is_shared,
    )


def run_of_a_stack_with(store: PostgresStore, text: str, *, kept: bool = True) -> Run:
    """A queued run of a stack with that policy."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    stack = make_stack(store)
    spec = PolicySpec(name="tell", type="notification", path="tell.rego", attach_all=True, digest=digest)
    with store.begin() as tx:
        if kept:
            tx.save_policy_texts({digest: text})
        tx.save_stack(replace(tx.lock_stack(stack.id), policies=(spec,)))
        tx.save_endpoint(Endpoint(name="ci", url=Secret("https://x.example"), signing=Secret("s" * 16)))
    return make_run(store, stack)


def jobs(url: str) -> list[tuple[str, str]]:
    """Task and lock of each job about notifications."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT task_name, lock FROM procrastinate_jobs WHERE queue_name = 'notify' ORDER BY id"
        ).fetchall()
    return [(task, lock) for task, lock in rows]


def told_of(store: PostgresStore, run_id: RunId) -> list[tuple[str, str, str, int, str]]:
    with store.begin() as tx:
        return [
            (one.channel.value, one.outcome.value, one.to, one.number, one.title or one.reason)
            for one in tx.list_messages(run_id)
        ]


def test_a_run_without_such_policies_costs_no_job(store: PostgresStore, database_url: str) -> None:
    make_run(store, make_stack(store))
    assert jobs(database_url) == []


def test_each_change_is_told_once_in_order_by_jobs_of_the_same_transaction(
    store: PostgresStore, database_url: str, policies: OpaPool
) -> None:
    run = run_of_a_stack_with(store, TELL)
    with store.begin() as tx:
        tx.change_run(run.id, step(Step.RELEASE))
    assert jobs(database_url) == [("notify", f"notify:{run.id}")] * 2
    notify = notify_with(store, policies)
    assert notify.notify(run.id) == ()
    assert notify.notify(run.id) == ()
    assert told_of(store, run.id) == [
        ("slack", "pending", "slack:C1", 1, ""),
        ("webhook", "pending", "ci", 1, ""),
        ("inbox", "shown", "", 0, "QUEUED"),
        ("slack", "pending", "slack:C1", 2, ""),
        ("webhook", "pending", "ci", 2, ""),
        ("inbox", "shown", "", 0, "READY"),
    ]
    sends = [lock for task, lock in jobs(database_url) if task == "send"]
    assert sends == ["endpoint:slack:C1", "endpoint:ci"] * 2
    assert store.count_notifications() == {("inbox", "shown"): 2}


def test_a_message_to_an_endpoint_that_is_off_is_dropped_and_its_number_missing_later(
    store: PostgresStore, policies: OpaPool
) -> None:
    run = run_of_a_stack_with(store, TELL)
    with store.begin() as tx:
        tx.turn_endpoint("ci", is_on=False)
    notify_with(store, policies).notify(run.id)
    assert ("webhook", "dropped", "ci", 1, "its endpoint is switched off") in told_of(store, run.id)
    with store.begin() as tx:
        tx.turn_endpoint("ci", is_on=True)
        tx.change_run(run.id, step(Step.RELEASE))
    notify_with(store, policies).notify(run.id)
    assert ("webhook", "pending", "ci", 2, "") in told_of(store, run.id)


def test_a_policy_reaches_no_endpoint_of_another_account(store: PostgresStore, policies: OpaPool) -> None:
    """It is not told of them, and what it guesses is as good as nothing."""
    run = run_of_a_stack_with(store, TELL + THOSE)
    with store.begin() as tx:
        tx.save_endpoint(
            Endpoint(name="ci", accounts=("globex",), url=Secret("https://x.example"), signing=Secret("s"))
        )
    notify = notify_with(store, policies, is_shared=True)
    notify.notify(run.id)
    told = told_of(store, run.id)
    assert ("webhook", "refused", "", 0, words.no_endpoint("ci")) in told
    assert ("inbox", "shown", "", 0, "0 endpoints") in told
    with store.begin() as tx:
        tx.save_endpoint(Endpoint(name="ci", accounts=("acme",), url=Secret("https://x.example"), signing=Secret("s")))
        tx.change_run(run.id, step(Step.RELEASE))
    notify.notify(run.id)
    told = told_of(store, run.id)[len(told) :]
    assert ("webhook", "pending", "ci", 1, "") in told
    assert ("inbox", "shown", "", 0, "1 endpoints") in told


@pytest.mark.parametrize(
    ("text", "kept", "why"),
    [
        ("package trackside\nimport rego.v1\nslack := 5", True, "contract: "),
        ("package trackside\nimport rego.v1\nslack contains {} if {", True, "parse: "),
        (TELL, False, "its text is not kept yet"),
    ],
)
def test_a_policy_that_fails_tells_nobody_says_so_and_leaves_the_run_alone(
    store: PostgresStore, policies: OpaPool, text: str, *, kept: bool, why: str
) -> None:
    run = run_of_a_stack_with(store, text, kept=kept)
    (remark,) = notify_with(store, policies).notify(run.id)
    assert remark.startswith(f"notification policy tell gave no answer, so it notifies nobody: {why}")
    ((channel, outcome, *_),) = told_of(store, run.id)
    assert (channel, outcome) == ("policy", "failed")
    assert store.count_notifications() == {("policy", "failed"): 1}
    with store.begin() as tx:
        assert tx.get_run(run.id).state is RunState.QUEUED


def test_what_a_policy_says_on_a_pull_request_is_one_report_for_its_key(
    store: PostgresStore, policies: OpaPool
) -> None:
    run = run_of_a_stack_with(store, COMMENT)
    with store.begin() as tx:
        tx.change_run(run.id, step(Step.RELEASE))
    remarks = notify_with(store, policies).notify(run.id)
    assert set(remarks) == {
        "notification policy tell asks for what cannot be done: no open pull request was found for it"
    }
    with store.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT id, wanted FROM reports WHERE kind = 'notice' AND subject LIKE '7/%%'"
        ).all()
    ((report_id, wanted),) = rows
    assert wanted == 2
    with store.begin() as tx:
        report = tx.find_report(report_id)
    assert report is not None
    assert (report.kind, report.document) == (ReportKind.NOTICE, b'{"pull_number":7,"body":"READY"}')


def test_an_ended_message_keeps_nothing_of_what_it_said_and_goes_by_retention(store: PostgresStore) -> None:
    run = run_of_a_stack_with(store, TELL)
    with OpaPool(1) as engine:
        notify_with(store, engine).notify(run.id)
    with store.begin() as tx:
        message = tx.next_message("ci")
        assert message is not None
        assert (message.tries, message.request is not None) == (1, True)
        assert tx.end_message(message, Outcome.SENT)
        assert not tx.end_message(message, Outcome.FAILED)
    with store.engine.begin() as connection:
        kept = connection.exec_driver_sql("SELECT sealed_content FROM messages WHERE outcome = 'sent'").all()
        assert kept == [(None,)]
        connection.exec_driver_sql(
            "UPDATE messages SET ended_at = ended_at - interval '31 days' WHERE outcome = 'sent'"
        )
    with store.begin() as tx:
        assert tx.sweep_messages(kept_days=30, limit=10) == 1


def test_where_everybody_reads_the_comment_it_has_no_log(store: PostgresStore, policies: OpaPool) -> None:
    run = run_of_a_stack_with(store, LOG)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE repositories SET is_private = false")
    notify_with(store, policies).notify(run.id)
    with store.engine.connect() as connection:
        (subject,) = connection.exec_driver_sql("SELECT id FROM reports WHERE kind = 'notice'").scalars().all()
    with store.begin() as tx:
        report = tx.find_report(subject)
    assert report is not None
    assert VEILED_LOG in report.document.decode()
