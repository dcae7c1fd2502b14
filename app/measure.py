"""What the web process computes when it is asked for: whether all works (/readyz), and the numbers of the database
(/metrics). Knows the store and the doors, and nothing of settings.
"""

from collections.abc import Callable, Iterable, Mapping

from app.core.budget import Spending
from app.core.errors import TracksideError, UserError
from app.store.artifacts_disk import DiskArtifacts
from app.store.artifacts_s3 import S3Artifacts
from app.store.postgres import PostgresStore
from app.web.doors import Gauge, Tally
from app.web.worker_gauges import worker_gauges


def readiness(store: PostgresStore, artifacts: DiskArtifacts | S3Artifacts) -> Mapping[str, str]:
    """What must work, to what is wrong with it."""
    try:
        missing = store.list_missing_migrations()
    except UserError as error:
        database, migrations = "", str(error)
    except TracksideError as error:
        database, migrations = str(error), "not looked at: the database comes first"
    else:
        database, migrations = "", f"{', '.join(missing)} missing: run `trackside migrate`" if missing else ""
    return {"database": database, "migrations": migrations, "artifacts": _wrong(artifacts.check_ready)}


def _wrong(check: Callable[[], None]) -> str:
    try:
        check()
    except TracksideError as error:
        return str(error)
    return ""


def numbers(store: PostgresStore, pools: Iterable[str]) -> list[Gauge | Tally]:
    """What /metrics computes when it is asked."""
    spending = store.list_spending()
    return [
        *worker_gauges(store, pools),
        Tally(
            name="missed_events",
            meaning="Looking for missed events, by path and by what came of it.",
            labels=("path", "outcome"),
            values=store.count_missed_events(),
        ),
        Tally(
            name="notifications",
            meaning="Notifications, by channel and by what became of them; policy: one that gave no answer.",
            labels=("channel", "outcome"),
            values=store.count_notifications(),
        ),
        Tally(
            name="drift_runs",
            meaning="Looking for drift, by what came of it.",
            labels=("result",),
            values=store.count_drift_results(),
        ),
        Gauge(
            name="endpoint_on",
            meaning="1 for an endpoint of notifications that is on, 0 for one that was switched off.",
            label="endpoint",
            values={name: float(is_on) for name, is_on in store.list_endpoint_states().items()},
        ),
        Gauge(name="runs", meaning="Runs by state.", label="state", values=store.count_by_state()),
        Gauge(
            name="oldest_pending_delivery_seconds",
            meaning="Age of the oldest delivery that its job has not ended.",
            values={"": store.oldest_pending_delivery_s()},
        ),
        Gauge(
            name="github_writes_last_minute",
            meaning="What was written to GitHub in the last minute, by account.",
            label="account",
            values={_account(one): float(one.written) for one in spending},
        ),
        Gauge(
            name="github_throttled_seconds",
            meaning="For how long what has changed is not told on GitHub, by account; 0: it is.",
            label="account",
            values={_account(one): _wait_s(one) for one in spending},
        ),
        Gauge(
            name="reports_behind",
            meaning="Reports whose newest content does not stand on GitHub yet.",
            values={"": float(store.count_reports_behind())},
        ),
    ]


def _account(one: Spending) -> str:
    return one.account or str(one.installation_id)


def _wait_s(one: Spending) -> float:
    return (one.throttled.until - one.at).total_seconds() if one.throttled is not None else 0.0
