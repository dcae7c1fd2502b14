"""What people do in a repository: commit, push, tag, comment, press; and what they see there.

What they do with pull requests is in `people_pulls`.
"""

from collections.abc import Collection, Mapping, Sequence

from app.core.names import ZERO_SHA
from app.sandbox import checks, environments, lfs, permits, refs, talk
from app.sandbox.bare import NewCommit
from app.sandbox.errors import SandboxError
from app.sandbox.people_pulls import PullHandle
from app.sandbox.records import CheckRun, CommitComment, Deployment, IssueComment, Reaction, Signed, User

Files = Mapping[str, str | bytes | None]
"""Path to content; None deletes the path."""


class Repo(PullHandle):
    """A repository in people's hands. `by` and `author` are logins; they default to the repository's owner."""

    def set_permission(self, login: str, role: str, *, custom: str = "") -> None:
        """Give a person a role: none, read, triage, write, maintain or admin; `custom`: the name of one that the
        organisation made of it. The account is made if missing."""
        if role not in permits.ROLES:
            raise SandboxError(f"there is no role {role!r}; roles: {', '.join(permits.ROLES)}")
        with self._world.mutex:
            self._world.find_or_add_user(login)
            self.record.roles[login.lower()] = role
            self.record.custom_roles.pop(login.lower(), None)
            if custom:
                self.record.custom_roles[login.lower()] = custom

    def environment(self, name: str, **rules: object) -> None:
        """Give a deployment environment these protection rules: the fields of `records.Environment`, `reviewers` as
        `["alice", "acme/platform"]`."""
        with self._world.mutex:
            listed = {key: tuple(value) if isinstance(value, list) else value for key, value in rules.items()}
            environments.add_environment(self._world, self.record, name, listed)

    def protect(self, branch: str) -> None:
        """Protect a branch."""
        with self._world.mutex:
            self.record.protected.add(branch)

    def keep_large(self, content: bytes) -> str:
        """Upload a file with Git LFS; the pointer that is committed in its place."""
        with self._world.mutex:
            return lfs.pointer(self.record, content)

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
        sign: bool = False,
    ) -> str:
        """Commit to a branch (default: the default branch) and push it; the new SHA.

        `base`: the commit or branch to build on, for a new branch (default: the default branch's tip) or with `force`.
        `sign`: GitHub finds the author's verified signature on the commit.
        """
        change = NewCommit(
            message, self._world.signature(self._author(author)), files or {}, executable=frozenset(executable)
        )
        return self.push_commits(branch, [change], author=author, force=force, base=base, sign=sign)[-1]

    def push_commits(
        self,
        branch: str | None,
        commits: Sequence[NewCommit],
        *,
        author: str | None = None,
        force: bool = False,
        base: str | None = None,
        sign: bool = False,
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
            if sign:
                self._sign(made, who)
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

    def tag(
        self,
        name: str,
        revision: str | None = None,
        *,
        by: str | None = None,
        message: str | None = None,
        sign: bool = False,
    ) -> str:
        """Push a tag on a commit (default: the default branch's tip), annotated with a message. The commit's SHA.

        `sign`: GitHub finds a verified signature on the tag, which has to be an annotated one.
        """
        if sign and message is None:
            raise SandboxError(f"signing tag {name}: only a tag with a message can be signed")
        sha = self.sha(revision or self.record.default_branch)
        with self._acting(by, "write") as who:
            if message is None:
                self._push_refs({refs.TAGS + name: sha}, by)
            else:
                before = self.record.git.find_ref(refs.TAGS + name) or ZERO_SHA
                made = self.record.git.annotate(name, sha, message, self._world.signature(who))
                if sign:
                    self._sign([made], who)
                refs.announce(self._world, self.record, [refs.RefChange(refs.TAGS + name, before, made)], who)
        return sha

    def _sign(self, shas: Sequence[str], who: User) -> None:
        for sha in shas:
            self._world.signed[sha] = Signed(who.login, self._world.now())

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

    def comment_on_pull(self, number: int, body: str, *, by: str | None = None) -> IssueComment:
        """Say something in a pull request's conversation."""
        with self._acting(by) as who:
            return talk.comment_on_pull(self._world, self.record, self.pull(number), body, who)

    def edit_comment(self, comment: IssueComment, body: str, *, by: str | None = None) -> None:
        """Give a comment another text: one's own, or with write access anybody's, the App's too."""
        with self._acting(by) as who:
            self._check_comment(comment, who)
            talk.edit_comment(self._world, self.record, comment, body, who)

    def tick(self, comment: IssueComment, label: str, *, line: int | None = None, by: str | None = None) -> None:
        """Click the box of a comment's task list whose text holds the label, in that line where it is known; takes what
        editing it takes."""
        with self._acting(by) as who:
            self._check_comment(comment, who)
            found = [box for box in talk.boxes(comment.body) if label in box.label and line in (None, box.line)]
            if len(found) != 1:
                where = "" if line is None else " there: the comment has changed since, so load the page again"
                raise SandboxError(f"clicking a box: {len(found)} boxes hold {label!r}{where}")
            talk.edit_comment(self._world, self.record, comment, talk.turn_box(comment.body, found[0]), who)

    def delete_comment(self, comment: IssueComment, *, by: str | None = None) -> None:
        """Take a comment away; takes what editing it takes."""
        with self._acting(by) as who:
            self._check_comment(comment, who)
            talk.delete_comment(self._world, self.record, comment, who)

    def _check_comment(self, comment: IssueComment, who: User) -> None:
        writes = permits.reaches(permits.FOLDED[self._world.role(self.record, who.login)], "write")
        if not writes and comment.user is not who:
            raise SandboxError(f"{who.login} did not write that comment and has no write access to {self.full_name}")

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

    def forget_check_run(self, check_run: CheckRun | int) -> None:
        """A check run is gone, as GitHub's own clean-up makes them."""
        with self._world.mutex:
            del self.record.check_runs[self._run(check_run).id]

    def rerequest_suite(self, revision: str | None = None, *, by: str | None = None) -> None:
        """Press "Re-run all checks" on a commit."""
        with self._acting(by, "write") as who:
            checks.rerequest_suite(self._world, self.record, self.record.suites[self.sha(revision)], who)

    def _run(self, check_run: CheckRun | int) -> CheckRun:
        number = check_run if isinstance(check_run, int) else check_run.id
        if number not in self.record.check_runs:
            raise SandboxError(f"there is no check run {number} in {self.full_name}")
        return self.record.check_runs[number]

    def read_file(self, path: str, revision: str | None = None) -> str:
        """A file's text at a revision. Raises: SandboxError when it is not there."""
        return self.record.git.git("cat-file", "blob", f"{self.sha(revision)}:{path}").stdout.decode()

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
