"""What people do in a repository: commit, push, tag, open, merge, comment, press; and what they see there.

A handle is cheap and never stale: it reads the state each time. Errors are SandboxError with a sentence.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from app.core.names import ZERO_SHA
from app.sandbox import checks, permits, pulls, refs, talk
from app.sandbox.bare import NewCommit
from app.sandbox.errors import ApiError, SandboxError
from app.sandbox.records import (
    CheckRun,
    CommitComment,
    Deployment,
    IssueComment,
    Pull,
    Reaction,
    Repository,
    User,
)
from app.sandbox.world import World

Files = Mapping[str, str | bytes | None]
"""Path to content; None deletes the path."""


class Repo:
    """A repository in people's hands. `by` and `author` are logins; they default to the repository's owner."""

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

    @contextmanager
    def _acting(self, login: str | None, needed: str = "read") -> Iterator[User]:
        """Hold the mutex while somebody acts; API errors become sentences."""
        with self._world.mutex:
            who = self._world.user(login) if login else self.record.owner
            if not permits.reaches(permits.FOLDED[self._world.role(self.record, who.login)], needed):
                raise SandboxError(f"{who.login} has no {needed} access to {self.full_name}")
            try:
                yield who
            except ApiError as error:
                details = "; ".join(str(item) for item in error.errors or ())
                raise SandboxError(f"{error.message} {details}".strip()) from error

    def set_permission(self, login: str, role: str) -> None:
        """Give a person a role: none, read, triage, write, maintain or admin. The account is made if missing."""
        if role not in permits.ROLES:
            raise SandboxError(f"there is no role {role!r}; roles: {', '.join(permits.ROLES)}")
        with self._world.mutex:
            self._world.find_or_add_user(login)
            self.record.roles[login.lower()] = role

    def push(
        self,
        branch: str | None = None,
        files: Files | None = None,
        message: str = "Change files",
        *,
        author: str | None = None,
        force: bool = False,
        base: str | None = None,
        executable: Collection[str] = (),
    ) -> str:
        """Commit to a branch (default: the default branch) and push it; the new SHA.

        `base`: the commit or branch to build on, for a new branch (default: the default branch's tip) or with `force`.
        """
        change = NewCommit(
            message, self._world.signature(self._author(author)), files or {}, executable=frozenset(executable)
        )
        return self.push_commits(branch, [change], author=author, force=force, base=base)[-1]

    def push_commits(
        self,
        branch: str | None,
        commits: Sequence[NewCommit],
        *,
        author: str | None = None,
        force: bool = False,
        base: str | None = None,
    ) -> list[str]:
        """Push several commits at once, oldest first; their SHAs. Raises: SandboxError for no fast-forward."""
        with self._acting(author, "write") as who:
            branch = branch or self.record.default_branch
            ref, git = refs.HEADS + branch, self.record.git
            tip = git.find_ref(ref)
            if base is not None and tip is not None and not force:
                raise SandboxError(f"pushing {branch}: it is there already; say force=True to leave its commits behind")
            start = self.sha(base) if base is not None else tip or git.find_ref(refs.HEADS + self.record.default_branch)
            made = git.write(ref, commits, start=start)
            refs.announce(self._world, self.record, [refs.RefChange(ref, tip or ZERO_SHA, made[-1])], who)
            return made

    def change(self, files: Files, message: str = "Change files", *, author: str | None = None) -> NewCommit:
        """A commit for `push_commits`."""
        return NewCommit(message, self._world.signature(self._author(author)), files)

    def _author(self, login: str | None) -> User:
        return self._world.user(login) if login else self.record.owner

    def set_branch(self, branch: str, revision: str, *, by: str | None = None) -> str:
        """Push a commit that is there already to a branch, by force if need be; its SHA."""
        sha = self.sha(revision)
        self._push_refs({refs.HEADS + branch: sha}, by)
        return sha

    def delete_branch(self, branch: str, *, by: str | None = None) -> None:
        """Push a branch's deletion."""
        self._push_refs({refs.HEADS + branch: ZERO_SHA}, by)

    def tag(self, name: str, revision: str | None = None, *, by: str | None = None, message: str | None = None) -> str:
        """Push a tag on a commit (default: the default branch's tip), annotated with a message. The commit's SHA."""
        sha = self.sha(revision or self.record.default_branch)
        with self._acting(by, "write") as who:
            if message is None:
                self._push_refs({refs.TAGS + name: sha}, by)
            else:
                before = self.record.git.find_ref(refs.TAGS + name) or ZERO_SHA
                made = self.record.git.annotate(name, sha, message, self._world.signature(who))
                refs.announce(self._world, self.record, [refs.RefChange(refs.TAGS + name, before, made)], who)
        return sha

    def push_tags(self, names: Sequence[str], revision: str | None = None, *, by: str | None = None) -> str:
        """Push several tags at once; more than three send no event, as on GitHub. The commit's SHA."""
        sha = self.sha(revision or self.record.default_branch)
        self._push_refs({refs.TAGS + name: sha for name in names}, by)
        return sha

    def delete_tag(self, name: str, *, by: str | None = None) -> None:
        """Push a tag's deletion."""
        self._push_refs({refs.TAGS + name: ZERO_SHA}, by)

    def _push_refs(self, wanted: Mapping[str, str], by: str | None) -> None:
        with self._acting(by, "write") as who:
            changes = []
            for ref, sha in wanted.items():
                before = self.record.git.find_ref(ref) or ZERO_SHA
                if not self.record.git.is_ref_name(ref) or before == sha == ZERO_SHA:
                    raise SandboxError(f"pushing {ref}: there is no such ref, or it is no name for one")
                self.record.git.set_ref(ref, sha)
                changes.append(refs.RefChange(ref, before, sha))
            refs.announce(self._world, self.record, [one for one in changes if one.before != one.after], who)

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
        """Open a pull request; its number."""
        with self._acting(author) as who:
            new = pulls.NewPull(head, base or self.record.default_branch, title, body, draft)
            return pulls.open_pull(self._world, self.record, new, who).number

    def merge_pull(self, number: int, *, by: str | None = None, method: str = "merge") -> str:
        """Merge: sends `pull_request` closed, then the push. The base branch's new SHA."""
        if method not in pulls.METHODS:
            raise SandboxError(f"there is no way to merge called {method!r}; ways: {', '.join(pulls.METHODS)}")
        with self._acting(by, "write") as who:
            pull = self.pull(number)
            before, after = pulls.merge(self._world, self.record, pull, method, who)
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

    def comment_on_pull(self, number: int, body: str, *, by: str | None = None) -> IssueComment:
        """Say something in a pull request's conversation."""
        with self._acting(by) as who:
            return talk.comment_on_pull(self._world, self.record, self.pull(number), body, who)

    def edit_comment(self, comment: IssueComment, body: str, *, by: str | None = None) -> None:
        """Give a comment another text; anyone with write access may edit the App's comment."""
        with self._acting(by) as who:
            talk.edit_comment(self._world, self.record, comment, body, who)

    def comment_on_commit(self, sha: str, body: str, *, by: str | None = None) -> CommitComment:
        """Say something on a commit."""
        with self._acting(by) as who:
            return talk.comment_on_commit(self._world, self.record, self.sha(sha), {"body": body}, who)

    def press(self, check_run: CheckRun | int, action: str, *, by: str | None = None) -> None:
        """Click a button, by its label or identifier. Raises: SandboxError when GitHub would not show it."""
        with self._acting(by) as who:
            checks.press(self._world, self.record, self._run(check_run), action, who)

    def press_raw(self, check_run: CheckRun | int, identifier: str, *, by: str | None = None) -> None:
        """Send a click from an old page: whatever the check run offers by now."""
        with self._acting(by) as who:
            checks.press_raw(self._world, self.record, self._run(check_run), identifier, who)

    def rerequest(self, check_run: CheckRun | int, *, by: str | None = None) -> None:
        """Press "Re-run" on a check run."""
        with self._acting(by, "write") as who:
            checks.rerequest(self._world, self.record, self._run(check_run), who)

    def _run(self, check_run: CheckRun | int) -> CheckRun:
        number = check_run if isinstance(check_run, int) else check_run.id
        if number not in self.record.check_runs:
            raise SandboxError(f"there is no check run {number} in {self.full_name}")
        return self.record.check_runs[number]

    def sha(self, revision: str | None = None) -> str:
        """The commit that a branch, tag, full ref or SHA names. Raises: SandboxError when there is none."""
        revision = revision or self.record.default_branch
        with self._world.mutex:
            for candidate in (refs.HEADS + revision, refs.TAGS + revision, revision):
                if found := self.record.git.find(candidate):
                    return found
        raise SandboxError(f"there is no commit {revision!r} in {self.full_name}")

    def read_file(self, path: str, revision: str | None = None) -> str:
        """A file's text at a revision. Raises: SandboxError when it is not there."""
        return self.record.git.git("cat-file", "blob", f"{self.sha(revision)}:{path}").stdout.decode()

    def pull(self, number: int) -> Pull:
        """A pull request. Raises: SandboxError when there is none."""
        if number not in self.record.pulls:
            raise SandboxError(f"there is no pull request #{number} in {self.full_name}")
        return self.record.pulls[number]

    def check_runs(
        self, revision: str | None = None, *, name: str | None = None, latest: bool = True
    ) -> list[CheckRun]:
        """The check runs of a commit, newest first; the newest of each name unless `latest` is False."""
        with self._world.mutex:
            found = checks.list_runs(self._world, self.record, self.sha(revision), latest=latest)
            return [run for run in found if name in (None, run.name)]

    def check_run(self, revision: str | None, name: str) -> CheckRun | None:
        """The newest check run of a name on a commit, if any."""
        return next(iter(self.check_runs(revision, name=name)), None)

    def buttons(self, check_run: CheckRun) -> list[str]:
        """The labels of the buttons that GitHub would show on it now."""
        with self._world.mutex:
            shown = self._world.shows_buttons(self.record, check_run)
            return [action["label"] for action in check_run.actions] if shown else []

    def deployments(self, revision: str | None = None, *, environment: str | None = None) -> list[Deployment]:
        """Deployments, newest first, of a commit and an environment if they are named."""
        with self._world.mutex:
            sha = self.sha(revision) if revision else None
            found = sorted(self.record.deployments.values(), key=lambda one: -one.id)
            return [one for one in found if sha in (None, one.sha) and environment in (None, one.environment)]

    def comments(self, number: int) -> list[IssueComment]:
        """A pull request's conversation, oldest first."""
        with self._world.mutex:
            return list(self.pull(number).comments)

    def commit_comments(self, revision: str | None = None) -> list[CommitComment]:
        """Comments on a commit, or on all of them, oldest first."""
        with self._world.mutex:
            sha = self.sha(revision) if revision else None
            return [one for one in self.record.commit_comments if sha in (None, one.commit_id)]

    def reactions(self, comment: IssueComment | CommitComment) -> list[Reaction]:
        """Reactions to a comment, oldest first."""
        with self._world.mutex:
            return list(comment.reactions)
