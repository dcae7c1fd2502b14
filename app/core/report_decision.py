"""Checks that say what became of an event for one stack when no run does: ignored with words, or not decided at all.

Both have a fixed content: they are computed once and kept in the outbox as a document.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.core.markdown import fence, sentence, shortened, tail
from app.core.names import Sha
from app.core.reply import CheckReport, CheckStatus, Conclusion

MAX_MESSAGES: Final = 50
"""Messages that are shown; the rest is counted."""
MAX_MESSAGE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoredView:
    """An event that a stack's policies turned down, and want to be seen."""

    stack_name: str
    is_proposed: bool
    """The check is the one of proposed runs: `plan/<stack>`."""
    head_sha: Sha
    reason: str
    messages: Sequence[str] = ()
    is_failure: bool = False
    details_url: str = ""


def ignored_report(view: IgnoredView) -> CheckReport:
    """`deploy/<stack>` or `plan/<stack>`: no run was made, why, and what the policies have to say."""
    shown = [shortened(message, MAX_MESSAGE) for message in view.messages[:MAX_MESSAGES]]
    more = [f"… and {len(view.messages) - len(shown):,} more"] if len(view.messages) > len(shown) else []
    lines = ("No run was made of this event.", fence(tail(view.reason, 2_000)), fence("\n".join((*shown, *more))))
    return CheckReport(
        name=f"{'plan' if view.is_proposed else 'deploy'}/{view.stack_name}",
        head_sha=view.head_sha,
        external_id=f"decision/{view.head_sha}",
        status=CheckStatus.COMPLETED,
        conclusion=Conclusion.FAILURE if view.is_failure else Conclusion.NEUTRAL,
        title=shortened(f"no run: {sentence(shown[0] if shown else view.reason)}", 200),
        summary="\n\n".join(line for line in lines if line),
        text="",
        details_url=view.details_url,
    )
