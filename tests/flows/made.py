"""Values for tests of the flows: a repository, stacks, an event that git has answered about."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from app.core.contract import Evaluated, Mistake, PolicyFailed, PolicyQuestions, PolicyText
from app.core.decision import EventKind
from app.core.event import Repository
from app.core.happening import Happening
from app.core.names import ConfigVersionId, InstallationId, RepositoryId, Sha, StackId
from app.core.pushinput import CommitFacts, EventAsked, PushAsked, StackAsked
from app.core.stack import PolicySpec, Stack, StackSettings
from app.flows.judge import Case
from app.flows.look import Base, Looked

AT = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
HEAD, BASE = Sha("a" * 40), Sha("b" * 40)
REPOSITORY = Repository(
    id=RepositoryId(77),
    owner="acme",
    name="infra",
    default_branch="main",
    is_private=True,
    installation_id=InstallationId(5),
)


class NoPolicies:
    """An engine that must not be asked."""

    def evaluate(self, policy: PolicyText, _question: Mapping[str, object], /) -> Evaluated | PolicyFailed:
        raise AssertionError(f"policy {policy.name} was asked")

    def evaluate_all(
        self, _shared: Mapping[str, object], asked: Sequence[PolicyQuestions], /
    ) -> list[list[Evaluated | PolicyFailed]]:
        raise AssertionError(f"{len(asked)} policies were asked")

    def check(self, _policy: PolicyText, /) -> tuple[Mistake, ...]:
        return ()


def stack(name: str = "app", *, root: str | None = None, policies: tuple[PolicySpec, ...] = ()) -> Stack:
    """A stack on branch main."""
    return Stack(
        id=StackId(f"01STACK{name}"),
        repository_id=REPOSITORY.id,
        settings=StackSettings(name=name, project_root=name if root is None else root, branch="main"),
        policies=policies,
        config_version_id=ConfigVersionId("01CONFIG"),
        is_detached=False,
        state_mode=None,
        head_sha=None,
        head_seq=0,
    )


def case_of(stacks: Sequence[Stack], files: Sequence[str] | None, **event: object) -> Case:
    """A push of those files to main, as all those stacks are asked about it."""
    given: dict[str, object] = {
        "repository": REPOSITORY,
        "kind": EventKind.PUSH,
        "action": "",
        "sender": "alice",
        "ref": "refs/heads/main",
        "after": HEAD,
        "before": BASE,
    }
    happening = Happening(**(given | event))  # type: ignore[arg-type]  # a fixture's dictionary
    commit = CommitFacts(sha=HEAD, author="alice", branch="main", message="Change", created_at=AT)
    changed: dict[str, tuple[str, ...] | None] = {BASE: tuple(files) if files is not None else None}
    return Case(
        happening=happening,
        looked=Looked(head=HEAD, commit=commit, base=Base(sha=BASE), changed=changed),
        event=EventAsked(
            repository=REPOSITORY, push=PushAsked(commit=commit), pull=None, at=AT, web_url="https://github.com"
        ),
        stacks=[StackAsked(stack=each, state=None, tracked=None) for each in stacks],
        texts={},
    )
