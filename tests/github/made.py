"""What the tests of this room hand to the App: reports, the repository as it knows it, a hook that remembers."""

from dataclasses import dataclass, field

from app.core.event import Repository
from app.core.names import InstallationId, RepositoryId, Sha
from app.core.reply import Button, CheckReport, CheckStatus, Conclusion, DeploymentReport, DeploymentState
from app.sandbox import Repo, SandboxGitHub


def known(repo: Repo, sandbox: SandboxGitHub) -> Repository:
    owner = repo.record.owner.login
    return Repository(
        id=RepositoryId(repo.id),
        owner=owner,
        name=repo.record.name,
        default_branch=repo.record.default_branch,
        is_private=repo.record.private,
        installation_id=InstallationId(sandbox.installation(owner).id),
    )


@dataclass
class Seen:
    """What the metrics hook was told."""

    requests: list[tuple[str, str, int]] = field(default_factory=list)

    def __call__(self, method: str, route: str, status: int) -> None:
        self.requests.append((method, route, status))


BUTTONS = (
    Button(label="Confirm", description="Apply this plan", identifier="c0123456789abcdef"),
    Button(label="Discard", description="Turn this plan down", identifier="d0123456789abcdef"),
)


def check(sha: str, *, external_id: str = "RUN/1", conclusion: Conclusion | None = None, text: str = "") -> CheckReport:
    """A check report of `deploy/net`: queued without a conclusion, completed with one; buttons when it waits."""
    return CheckReport(
        name="deploy/net",
        head_sha=Sha(sha),
        external_id=external_id,
        status=CheckStatus.COMPLETED if conclusion else CheckStatus.QUEUED,
        conclusion=conclusion,
        title="+1 ~0 -0",
        summary="One change.",
        text=text,
        details_url="https://trackside.example/runs/RUN",
        buttons=BUTTONS if conclusion is Conclusion.ACTION_REQUIRED else (),
    )


def deployment(sha: str, *, run: str = "RUN", state: DeploymentState = DeploymentState.QUEUED) -> DeploymentReport:
    """A deployment report of stack net."""
    return DeploymentReport(
        environment="net",
        sha=Sha(sha),
        task="trackside:net",
        description="Run of net",
        payload={"run": run, "stack": "net", "tag": ""},
        is_production=True,
        state=state,
        state_description="waiting",
        log_url="https://trackside.example/runs/RUN",
    )
