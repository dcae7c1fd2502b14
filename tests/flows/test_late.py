"""What GitHub could not bring and sends again tells how things were: it takes back nothing that was told since."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from app.core.missed import FOUND_REF, FoundRef, MissedDelivery
from app.core.names import DeliveryId, Sha
from app.core.record import NewDelivery
from app.flows.missed_heads import announce
from tests.database import made_database
from tests.flows.outbox import Outbox, open_outbox

KNOWN = "SELECT name, is_private, standing FROM repositories"
INSTALLED = "SELECT is_active FROM installations"


@dataclass
class Post:
    """What GitHub tells, in whatever order."""

    outbox: Outbox

    def tell(self, event: str, payload: dict[str, Any], *, hours_ago: int = 0, **facts: object) -> str:
        """An event of the repository (with other facts) is carried out; if it is old, GitHub was asked for it again,
        and was quicker than our note of that. What became of it."""
        (push,) = (one.payload for one in self.outbox.world.github.deliveries if one.event == "push")
        common = {"repository": push["repository"] | facts, "installation": push["installation"]}
        body = json.dumps({**common, "sender": push["sender"], "at": str(uuid4()), **payload}).encode()
        guid, store = DeliveryId(str(uuid4())), self.outbox.world.plane.store
        if hours_ago:
            with store.begin() as tx:
                then = tx.now() - timedelta(hours=hours_ago)
                tx.note_missed([MissedDelivery(guid=guid, event=event, attempt_id=1, delivered_at=then)])
        store.record_deliveries([NewDelivery(guid=guid, event=event, body=body, lane="lane")])
        self.outbox.world.plane.tasks.deliver(guid)
        ((reason,),) = self.outbox.world.sql(f"SELECT reason FROM deliveries WHERE guid = '{guid}'")  # noqa: S608 - ours
        return str(reason)


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory, server_url: str, database_template: str) -> Iterator[Post]:
    """A repository that is known."""
    with (
        made_database(server_url, template=database_template) as url,
        open_outbox(tmp_path_factory.mktemp("late"), url) as made,
    ):
        made.world.github.wait_deliveries()
        yield Post(made)


def test_a_push_from_before_makes_no_public_repository_private_again(post: Post) -> None:
    """What is said of plans on GitHub depends on it: of a public repository counts and states alone."""
    gone = {"ref": "refs/heads/gone", "before": "a" * 40, "after": "0" * 40, "deleted": True}
    post.tell("repository", {"action": "publicized"}, private=False, name="new-name")
    assert post.outbox.world.sql(KNOWN) == [("new-name", False, "here")]
    assert post.tell("push", gone, hours_ago=2, private=True, name="old-name") == "refs/heads/gone was deleted"
    assert post.outbox.world.sql(KNOWN) == [("new-name", False, "here")]
    assert post.tell("repository", {"action": "privatized"}, hours_ago=1, private=True).startswith("it came late")
    assert post.outbox.world.sql(KNOWN) == [("new-name", False, "here")]
    post.tell("push", gone, private=True, name="infra")
    assert post.outbox.world.sql(KNOWN) == [("infra", True, "here")]


def test_what_was_found_by_looking_tells_nothing_new_of_the_repository(post: Post) -> None:
    """It goes by what is known: an event from before it, that comes late, may know better."""
    post.tell("repository", {"action": "renamed"}, hours_ago=3, private=True)
    post.outbox.world.sql("UPDATE repositories SET told_at = told_at - interval '3 hours' RETURNING id")
    sha = Sha(post.outbox.repo.sha())
    with post.outbox.world.plane.store.begin() as tx:
        found = FoundRef(
            repository_id=post.outbox.repo.id, ref="refs/heads/main", before=sha, after=sha, found_at=tx.now()
        )
        announce(tx, found)
    ((guid,),) = post.outbox.world.sql(f"SELECT guid FROM deliveries WHERE event = '{FOUND_REF}'")  # noqa: S608 - ours
    post.outbox.world.plane.tasks.deliver(DeliveryId(str(guid)))
    assert (
        post.tell("repository", {"action": "publicized"}, hours_ago=1, private=False) == "repository is now acme/infra"
    )
    assert post.outbox.world.sql(KNOWN) == [("infra", False, "here")]
    post.tell("repository", {"action": "privatized"}, private=True)


def test_an_archive_that_was_opened_since_stays_open(post: Post) -> None:
    post.tell("repository", {"action": "unarchived"})
    assert post.tell("repository", {"action": "archived"}, hours_ago=1).startswith("it came late")
    assert post.outbox.world.sql(KNOWN) == [("infra", True, "here")]
    post.tell("repository", {"action": "archived"})
    assert post.outbox.world.sql(KNOWN) == [("infra", True, "archived")]
    post.tell("repository", {"action": "unarchived"})


def test_a_pause_of_the_app_that_is_over_does_not_come_back(post: Post) -> None:
    """Both were missed, and come back in either order: what happened last is true."""
    post.outbox.world.sql("UPDATE installations SET told_at = NULL RETURNING id")
    post.tell("installation", {"action": "unsuspend"}, hours_ago=1)
    assert post.tell("installation", {"action": "suspend"}, hours_ago=2).startswith("it came late")
    assert post.outbox.world.sql(INSTALLED) == [(True,)]
    post.tell("installation", {"action": "suspend"})
    assert post.outbox.world.sql(INSTALLED) == [(False,)]
    post.tell("installation", {"action": "unsuspend"})


def test_a_repository_given_to_another_owner_is_taken_in_under_that_owner_s_settings(post: Post) -> None:
    """Until then nothing of it is handed to a worker, confirmed or applied: it must not wait for a push."""
    renewals = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'renew'"
    post.tell("repository", {"action": "renamed"})
    assert post.outbox.world.sql(renewals) == [(0,)]
    post.tell("repository", {"action": "transferred"}, owner={"login": "acme", "id": 4711})
    assert post.outbox.world.sql(renewals) == [(1,)]
