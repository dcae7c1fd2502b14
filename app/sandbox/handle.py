"""The handle of a repository: what every verb of people stands on. The verbs are in `people` and `people_pulls`.

A handle is cheap and never stale: it reads the state each time. Errors are SandboxError with a sentence.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from app.sandbox import permits, refs
from app.sandbox.errors import ApiError, SandboxError
from app.sandbox.records import Pull, Repository, User
from app.sandbox.world import World


class Handle:
    """A repository in people's hands: what it is, its troubles, and how somebody acts in it."""

    def __init__(self, world: World, record: Repository) -> None:
        self._world = world
        self.record = record

    @property
    def id(self) -> int:
        """GitHub's number of the repository."""
        return self.record.id

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return self.record.full_name

    @property
    def clone_url(self) -> str:
        """Where git fetches it."""
        return f"{self._world.server_url}/{self.full_name}.git"

    @property
    def refuse_check_runs(self) -> bool:
        """Trouble: every write of a check run is answered 403."""
        return self.record.refuse_check_runs

    @refuse_check_runs.setter
    def refuse_check_runs(self, value: bool) -> None:
        self.record.refuse_check_runs = value

    @property
    def mergeable_is_pending(self) -> bool:
        """Trouble: `mergeable` is null, as long as GitHub's background job has not run."""
        return self.record.mergeable_is_pending

    @mergeable_is_pending.setter
    def mergeable_is_pending(self, value: bool) -> None:
        self.record.mergeable_is_pending = value

    @property
    def required_approvals(self) -> int:
        """How many approvals by people with write access its branches ask for; 0: none are required."""
        return self.record.required_approvals

    @required_approvals.setter
    def required_approvals(self, value: int) -> None:
        self.record.required_approvals = value

    @contextmanager
    def _acting(self, login: str | None, needed: str = "read") -> Iterator[User]:
        """Hold the mutex while somebody acts; API errors become sentences."""
        with self._world.mutex:
            who = self._world.user(login) if login else self.record.owner
            if not permits.reaches(permits.FOLDED[self._world.role(self.record, who.login)], needed):
                raise SandboxError(f"{who.login} has no {needed} access to {self.full_name}")
            if self.record.archived and needed != "read":
                raise SandboxError(f"{self.full_name} was archived so is read-only")
            try:
                yield who
            except ApiError as error:
                details = "; ".join(str(item) for item in error.errors or ())
                raise SandboxError(f"{error.message} {details}".strip()) from error

    def sha(self, revision: str | None = None) -> str:
        """The commit that a branch, tag, full ref or SHA names. Raises: SandboxError when there is none."""
        revision = revision or self.record.default_branch
        with self._world.mutex:
            for candidate in (refs.HEADS + revision, refs.TAGS + revision, revision):
                if found := self.record.git.find(candidate):
                    return found
        raise SandboxError(f"there is no commit {revision!r} in {self.full_name}")

    def pull(self, number: int) -> Pull:
        """A pull request. Raises: SandboxError when there is none."""
        if number not in self.record.pulls:
            raise SandboxError(f"there is no pull request #{number} in {self.full_name}")
        return self.record.pulls[number]
