"""How values become words and colours on pages: the templates with their filters, and what makes responses of them.

Stands between the pages and the core: the words of a run's state are those of its check run, and everything foreign is
escaped and made visible.
"""

import re
from collections.abc import Mapping
from typing import Final, Protocol

import jinja2
from starlette.responses import Response

from app.core.changelist import REASONS, SIGNS, WORDS, delta_line
from app.core.markdown import sentence
from app.core.notice import Outcome
from app.core.plan import MASK, UNKNOWN, Action
from app.core.report_check import check_name
from app.core.run import Run, RunState, RunType
from app.core.runview import short
from app.core.words_budget import throttled
from app.core.words_drift import found_words, schedule_words
from app.core.words_notice import outcome_word
from app.core.words_run import part_word, phase_word, word_of
from app.web.guard import content_policy
from app.web.prose import prose
from app.web.visible import diff_rows, readable_value, visible

_TOLD: Final = {
    Outcome.PENDING: "live",
    Outcome.SENT: "good",
    Outcome.SHOWN: "good",
    Outcome.FAILED: "bad",
    Outcome.DROPPED: "bad",
    Outcome.REFUSED: "bad",
}
"""The colour of what became of a message."""
_SEVERITIES: Final[Mapping[str, str]] = {"INFO": "live", "WARNING": "decide", "ERROR": "bad"}
"""The colour of how much a message matters."""
_SECTION: Final = re.compile(r"── .{1,200} ──")
"""Where a step of a worker begins and ends in its log."""
_MORE_SIGNS: Final = {Action.READ: "<", Action.IMPORT: "^", Action.FORGET: "×", Action.MOVE: ">"}


_WITH_FORMS: Final = {
    "content-security-policy": content_policy("'self'"),
    "referrer-policy": "same-origin",  # else a browser hides, also from us, which page sent a form
}


class Guest(Protocol):
    """Who looks at a page, as far as its frame shows it."""

    @property
    def login(self) -> str:
        """Empty: not known."""
        ...

    @property
    def csrf(self) -> str:
        """Empty: no form is sent."""
        ...

    @property
    def can_log_in(self) -> bool: ...
    @property
    def login_path(self) -> str: ...


class Renderer:
    """Pages as responses."""

    def __init__(self, frame: Mapping[str, object]) -> None:
        self._templates, self._frame = make_templates(), frame

    def page(
        self, template: str, values: Mapping[str, object], status: int = 200, guest: Guest | None = None
    ) -> Response:
        """The page; forms are let through for somebody who has logged in alone."""
        html = self._templates.get_template(template).render({**self._frame, "guest": guest, **values})
        headers = _WITH_FORMS if guest is not None and guest.csrf else None
        return Response(html, status, headers, media_type="text/html")

    def error(self, status: int, text: str, guest: Guest | None = None) -> Response:
        """A page for a status; 404 has one text, whatever the cause."""
        return self.page("error.html", {"status": status, "text": "" if status == 404 else text}, status, guest)


def make_templates() -> jinja2.Environment:
    """The templates of this package, escaping everything, with the filters that they use."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("app.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(
        visible=visible,
        value=readable_value,
        diff_rows=diff_rows,
        value_kind=lambda value: {MASK: "masked", UNKNOWN: "unknown"}.get(value, "known"),
        short=short,
        sentence=lambda text: prose(sentence(text)).strip(),
        outcome=outcome_word,
        told=lambda outcome: _TOLD[outcome],
        severity=lambda severity: _SEVERITIES.get(severity, "over"),
        stands=word_of,
        phase=phase_word,
        part=part_word,
        tone=tone,
        colour=colour,
        when=lambda at: f"{at:%Y-%m-%d %H:%M:%S} UTC",
        minute=lambda at: f"{at:%Y-%m-%d %H:%M}",
        found=found_words,
        schedule=schedule_words,
        delta=delta_line,
        check=check_name,
        throttled=throttled,
        why=lambda reason: REASONS.get(reason) or reason.replace("_", " "),
    )
    templates.tests["section"] = lambda line: _SECTION.fullmatch(line) is not None
    templates.globals.update(action_words=WORDS, action_signs={**_MORE_SIGNS, **SIGNS})
    return templates


def tone(state: RunState) -> str:
    """The colour of a state: waits, moves, good, bad, over."""
    match state:
        case RunState.UNCONFIRMED | RunState.PENDING_REVIEW:
            return "decide"
        case RunState.FINISHED:
            return "good"
        case RunState.FAILED:
            return "bad"
        case RunState.DISCARDED | RunState.STOPPED | RunState.CANCELED | RunState.SKIPPED:
            return "over"
        case _:
            return "live"


def colour(run: Run) -> str:
    """The colour of a run: its state's. A run that found drift is no good news; whether it stands, its stack says."""
    has_drift = run.type is RunType.DRIFT and run.plan is not None and run.plan.has_changes
    return "over" if has_drift and run.state is RunState.FINISHED else tone(run.state)
