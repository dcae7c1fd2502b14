"""An answer to a person: words, a reaction, or both; said once."""

from dataclasses import dataclass

import msgspec

from app.core.budget import Lane
from app.core.names import Sha
from app.flows.budget import spend
from app.flows.ports import GitHub, Store
from app.flows.report_subject import Subject


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The document of a REPLY report: words, a reaction, or both."""

    body: str = ""
    pull_number: int | None = None
    sha: str | None = None
    reaction: str = ""
    comment_id: int | None = None
    is_courtesy: bool = False
    """Asked by somebody who may not write here: on a public repository anybody, as often as they like."""

    @property
    def lane(self) -> Lane:
        """What strangers ask leaves room for everything else."""
        return Lane.PROGRESS if self.is_courtesy else Lane.ANSWER


@dataclass(frozen=True, slots=True, kw_only=True)
class Replies:
    """Puts answers on GitHub."""

    store: Store
    github: GitHub

    def publish(self, subject: Subject, reply: Reply) -> bool:
        """Answer a person once."""
        said = subject.remote("reply")
        if reply.body and (said is None or said.remote_id is None):
            self._say(subject, reply, is_unsure=said is not None)
        if reply.reaction and reply.comment_id is not None:
            with self.store.begin() as tx:
                spend(tx, subject.repository, reply.lane)
            self.github.react(subject.repository, reply.comment_id, reply.reaction)
        return True

    def _say(self, subject: Subject, reply: Reply, *, is_unsure: bool) -> None:
        sha = Sha(reply.sha) if reply.sha else None
        number = None
        if is_unsure:
            number = self.github.find_comment(subject.repository, number=reply.pull_number, sha=sha, body=reply.body)
        if number is None:
            with self.store.begin() as tx:
                spend(tx, subject.repository, reply.lane)
                tx.save_remote(subject.record.id, "reply", remote_id=None, published="", is_completed=False)
            if reply.pull_number is not None:
                number = self.github.comment_on_pull(subject.repository, reply.pull_number, reply.body)
            elif sha is not None:
                number = self.github.comment_on_commit(subject.repository, sha, reply.body)
        with self.store.begin() as tx:
            tx.save_remote(subject.record.id, "reply", remote_id=number, published="said", is_completed=True)
