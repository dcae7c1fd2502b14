"""What people do with pull requests: open, edit, label, review, merge, close, and put them into the merge queue."""

from app.sandbox import merge_queue, merging, permits, pulls, refs, reviews
from app.sandbox.errors import SandboxError
from app.sandbox.handle import Handle
from app.sandbox.records import Pull, QueuedGroup, Review, User


class PullHandle(Handle):
    """The verbs of pull requests. `by` and `author` are logins; they default to the repository's owner."""

    def open_pull(
        self,
        head: str,
        base: str | None = None,
        title: str = "A change",
        *,
        author: str | None = None,
        body: str = "",
        draft: bool = False,
    ) -> int:
        """Open a pull request of a branch, or of a fork's (`mallory:topic`); its number."""
        with self._acting(author) as who:
            new = pulls.NewPull(head, base or self.record.default_branch, title, body, draft)
            return pulls.open_pull(self._world, self.record, new, who).number

    def merge_pull(self, number: int, *, by: str | None = None, method: str = "merge") -> str:
        """Merge: sends `pull_request` closed, then the push. The base branch's new SHA."""
        if method not in merging.METHODS:
            raise SandboxError(f"there is no way to merge called {method!r}; ways: {', '.join(merging.METHODS)}")
        with self._acting(by, "write") as who:
            pull = self.pull(number)
            before, after = merging.merge(self._world, self.record, pull, method, who)
            refs.announce(self._world, self.record, [refs.RefChange(refs.HEADS + pull.base_ref, before, after)], who)
            return after

    def close_pull(self, number: int, *, by: str | None = None) -> None:
        """Close without merging."""
        with self._acting(by) as who:
            pulls.close(self._world, self.record, self.pull(number), who)

    def reopen_pull(self, number: int, *, by: str | None = None) -> None:
        """Open a closed pull request again."""
        with self._acting(by) as who:
            pulls.reopen(self._world, self.record, self.pull(number), who)

    def edit_pull(self, number: int, *, title: str = "", base: str = "", by: str | None = None) -> None:
        """Give it another title, or another branch to go into; sends `edited` when that changes something."""
        with self._acting(by) as who:
            pulls.edit(self._world, self.record, self._own_pull(number, who), who, title=title, base=base)

    def convert_to_draft(self, number: int, *, by: str | None = None) -> None:
        """Take it back into work."""
        with self._acting(by) as who:
            pulls.set_draft(self._world, self.record, self._own_pull(number, who), who, draft=True)

    def mark_ready(self, number: int, *, by: str | None = None) -> None:
        """Say that a draft is ready for review."""
        with self._acting(by) as who:
            pulls.set_draft(self._world, self.record, self._own_pull(number, who), who, draft=False)

    def _own_pull(self, number: int, who: User) -> Pull:
        """A pull request that somebody may change: its author, and who may write."""
        pull = self.pull(number)
        writes = permits.reaches(permits.FOLDED[self._world.role(self.record, who.login)], "write")
        if not writes and pull.user is not who:
            raise SandboxError(f"{who.login} did not open #{number} and has no write access to {self.full_name}")
        return pull

    def add_labels(self, number: int, *names: str, by: str | None = None) -> None:
        """Put labels on; each new one sends `labeled`. Takes the triage role."""
        with self._acting(by) as who:
            self._check_triage(who)
            pulls.label(self._world, self.record, self.pull(number), names, who)

    def remove_label(self, number: int, name: str, *, by: str | None = None) -> None:
        """Take a label off; sends `unlabeled`. Takes the triage role."""
        with self._acting(by) as who:
            self._check_triage(who)
            pulls.unlabel(self._world, self.record, self.pull(number), name, who)

    def _check_triage(self, who: User) -> None:
        if not permits.role_flags(self._world.role(self.record, who.login))["triage"]:
            raise SandboxError(f"{who.login} has no triage role in {self.full_name}")

    def approve(self, number: int, *, by: str, body: str = "") -> Review:
        """Review: approve. It counts where approvals are required when the reviewer may write."""
        return self._review(number, "APPROVED", body, by)

    def request_changes(self, number: int, body: str = "Not like this.", *, by: str) -> Review:
        """Review: request changes."""
        return self._review(number, "CHANGES_REQUESTED", body, by)

    def review(self, number: int, body: str, *, by: str) -> Review:
        """Review: comment, without an opinion."""
        return self._review(number, "COMMENTED", body, by)

    def _review(self, number: int, state: str, body: str, by: str) -> Review:
        with self._acting(by) as who:
            return reviews.review(self._world, self.record, self.pull(number), state, body, who)

    def edit_review(self, number: int, review: Review, body: str, *, by: str | None = None) -> None:
        """Give a review another text; sends `edited`."""
        with self._acting(by) as who:
            reviews.edit(self._world, self.record, self.pull(number), review, body, who)

    def dismiss_review(self, number: int, review: Review, *, by: str | None = None) -> None:
        """Take away what a review counts; sends `dismissed`."""
        with self._acting(by, "write") as who:
            reviews.dismiss(self._world, self.record, self.pull(number), review, who)

    def enqueue_pull(self, number: int, *, by: str | None = None) -> QueuedGroup:
        """Put it into the merge queue: its group's branch is pushed, `merge_group` checks_requested is sent."""
        with self._acting(by, "write") as who:
            return merge_queue.enqueue(self._world, self.record, self.pull(number), who)

    def land_group(self, group: QueuedGroup, *, by: str | None = None) -> str:
        """The checks of the first group passed: the base branch moves to it. The base branch's new SHA."""
        with self._acting(by, "write") as who:
            return merge_queue.land(self._world, self.record, group, who)

    def destroy_group(self, group: QueuedGroup, *, reason: str = "dequeued", by: str | None = None) -> None:
        """Take the last group out: `dequeued` by a person, or `invalidated` by a failed check."""
        with self._acting(by, "write") as who:
            merge_queue.destroy(self._world, self.record, group, reason, who)
