"""0004: a delivery's job is announced after its commit, by the store, no more by a trigger inside it.

A commit that carries a NOTIFY holds a lock of the whole server until it is on the disk: under load the webhook's
commits queued up behind each other. Nor does such a job begin with a row of procrastinate's history: the delivery's own
row says when it arrived.
"""

from typing import Any, Final

from alembic import op

revision = "0004"
down_revision = "0003"

TRIGGERS: Final = """
DROP TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1 ON procrastinate_jobs;
CREATE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1
    AFTER INSERT ON procrastinate_jobs FOR EACH ROW
    WHEN (NEW.status = 'todo'::procrastinate_job_status AND NEW.queue_name <> 'deliver')
    EXECUTE FUNCTION procrastinate_notify_queue_job_inserted_v1();
DROP TRIGGER procrastinate_trigger_status_events_insert_v1 ON procrastinate_jobs;
CREATE TRIGGER procrastinate_trigger_status_events_insert_v1
    AFTER INSERT ON procrastinate_jobs FOR EACH ROW
    WHEN (NEW.status = 'todo'::procrastinate_job_status AND NEW.queue_name <> 'deliver')
    EXECUTE FUNCTION procrastinate_trigger_function_status_events_insert_v1();
"""


def upgrade() -> None:
    """Leave one queue out of two triggers, in one transaction."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(TRIGGERS)


def downgrade() -> None:
    """Refused, as every one before it.

    Raises: RuntimeError, always.
    """
    raise RuntimeError("downgrading the database: restore a backup of the version before")
