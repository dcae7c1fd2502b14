"""A run as a check run: status, title, what to do, what would change, and the buttons.

Every foreign word is put into code by `app.core.markdown`; every text fits GitHub's limits, whatever the plan.
"""

from dataclasses import dataclass
from typing import Final

from app.core.changelist import change_list
from app.core.command import SUPERSEDED_OPTION, Verb
from app.core.deltastrip import counts_table, module_table, strip_line
from app.core.markdown import MAX_BYTES, assembled, code, cut, fence, sentence, shortened, size_bytes, tail, visible
from app.core.missed import FOUND_BY
from app.core.plan import MASK
from app.core.protocol import Output
from app.core.reply import MAX_ANNOTATIONS, CheckReport, CheckStatus, Conclusion
from app.core.report_annotations import annotations, unshown_line
from app.core.report_choice import chosen_line, pulled_in_lines, still_pending_lines
from app.core.report_drift import compared
from app.core.report_offer import (
    buttons,
    command,
    expiry,
    failed_before,
    kept,
    make_again,
    origin,
    person,
    promotion,
    queue,
    withdraw,
)
from app.core.report_policy import confirm_line, policy_lines, review_lines, unjudged_line
from app.core.report_progress import how_far
from app.core.report_remark import remark_lines
from app.core.ruling import Approval, Verdict
from app.core.run import Run, RunState, RunType, Step, Trigger, allowed
from app.core.runview import RunView, cause, short
from app.core.statepoint import Obstacle
from app.core.words_choice import chosen_words
from app.core.words_depend import runs_after
from app.core.words_run import phase_word, word_of
from app.core.words_stack import on_hold
from app.core.words_trigger import triggered_lines

MAX_TITLE: Final = 200
"""Characters of a check run's title."""
MAX_REASON: Final = 4_000
"""Characters of a reason that are shown, from its end."""
MAX_OUTPUTS_BYTES: Final = 16_000
_KINDS: Final = {
    RunType.TRACKED: "deploy",
    RunType.PROPOSED: "plan",
    RunType.DESTROY: "destroy",
    RunType.DRIFT: "drift",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What a state has to say: where the check run stands, its title, its first paragraphs."""

    status: CheckStatus
    conclusion: Conclusion | None = None
    title: str
    lines: tuple[str, ...] = ()


def segment(run: Run) -> str:
    """`RUN/PLAN` for a plan, `RUN/PLAN/apply` from its confirmation on: each is a check run of its own."""
    return f"{run.id}/{run.plan_number}" + ("/apply" if run.confirmed_digest else "")


def shown_plan(external_id: str) -> int:
    """The plan's number in the external id of a run's check, `RUN/PLAN`; 0 when it has none."""
    parts = external_id.split("/")
    return int(parts[1]) if len(parts) > 1 and parts[1].isdecimal() and len(parts[1]) < 10 else 0


def check_name(run: Run) -> str:
    """`deploy/<stack>` for tracked runs, `plan/<stack>` for proposed ones; destroy and drift runs say what they are."""
    return f"{_KINDS[run.type]}/{run.stack_name}"


def check_report(view: RunView) -> CheckReport:
    """What the check run of the run's current segment should say now."""
    said = _say(view)
    marks = annotations(view) if said.status is CheckStatus.COMPLETED else ()
    return CheckReport(
        name=check_name(view.run),
        head_sha=view.run.head_sha,
        external_id=segment(view.run),
        status=said.status,
        conclusion=said.conclusion,
        title=shortened(said.title, MAX_TITLE),
        summary=_summary(view, said, unshown_line(len(marks))),
        text=_text(view),
        details_url=view.run_url,
        buttons=buttons(view),
        annotations=marks[:MAX_ANNOTATIONS],
    )


def check_prose(view: RunView) -> str:
    """What the run's check run says beside its tables, as Markdown: what to do, what is lost, warnings."""
    return "\n\n".join(part for part in (*_prose_parts(view, _say(view)), *_warned(view)) if part)


def _say(view: RunView) -> _Said:
    """The state in words."""
    match view.run.state:
        case RunState.QUEUED:
            return _queued(view)
        case RunState.READY | RunState.REPLAN_REQUESTED | RunState.CONFIRMED:
            return _for_worker(view)
        case (
            RunState.PREPARING
            | RunState.INITIALIZING
            | RunState.PLANNING
            | RunState.PREPARING_REPLAN
            | RunState.PREPARING_APPLY
            | RunState.APPLYING
        ):
            return _under_way(view)
        case RunState.UNCONFIRMED | RunState.PENDING_REVIEW:
            return _waiting(view)
        case RunState.FINISHED:
            return _finished(view)
        case RunState.FAILED:
            return _failed(view)
        case RunState.DISCARDED | RunState.STOPPED | RunState.CANCELED | RunState.SKIPPED:
            return _ended(view)


def _queued(view: RunView) -> _Said:
    """What it waits for: another run, or a hold."""
    blocker = view.blocked_by
    after = (*queue(view), withdraw(view))
    if view.stack_hold:
        return _Said(status=CheckStatus.QUEUED, title="queued: the stack is on hold", lines=(_hold(view), *after))
    if view.waits_for:
        waits = f"Waits for {sentence(view.waits_for)}."
        return _Said(status=CheckStatus.QUEUED, title=f"queued: waits for {view.waits_for}", lines=(waits, *after))
    if blocker is None:
        return _Said(status=CheckStatus.QUEUED, title="queued", lines=("Waits for its turn.", *after))
    state, commit = word_of(blocker), short(blocker.head_sha)
    lines = [f"Waits for run {code(blocker.id)} ({state}) of the commit {code(commit)}: {code(blocker.message or '-')}"]
    if blocker.state is RunState.UNCONFIRMED:
        option = f" {SUPERSEDED_OPTION}" if blocker.head_seq < view.run.head_seq else ""
        confirm, discard = command(view, Verb.CONFIRM, blocker.id + option), command(view, Verb.DISCARD, blocker.id)
        lines.append(f"That run waits for a person: {discard} turns it down, {confirm} applies it.")
    title = f"queued: waits for run {blocker.id} ({state}) of the commit {commit}"
    return _Said(status=CheckStatus.QUEUED, title=title, lines=(*lines, *after))


def _for_worker(view: RunView) -> _Said:
    """Nothing but a free worker is missing."""
    run = view.run
    match run.state:
        case RunState.CONFIRMED:
            title, line = f"{view.counts} · confirmed", f"Confirmed by {person(run.decided_by)}: waits for a worker."
        case RunState.REPLAN_REQUESTED:
            title = f"plan {run.plan_number}: waits for a worker"
            part = f" of a part ({chosen_words(run.targeting)})" if run.targeting else ""
            line = f"{person(run.decided_by)} asked for another plan{part}: it waits for a worker."
        case _:
            title, line = "ready: waits for a worker", f"Waits for a worker. {withdraw(view)}"
    return _Said(status=CheckStatus.QUEUED, title=title, lines=(line,))


_PHASES: Final = {
    RunState.PREPARING: ("preparing", "A worker fetches the commit."),
    RunState.INITIALIZING: ("initializing", "The engine fetches providers and modules."),
    RunState.PLANNING: ("planning", "The engine compares the configuration with what exists."),
    RunState.PREPARING_REPLAN: ("preparing the next plan", "A worker fetches the commit for another plan."),
    RunState.PREPARING_APPLY: ("preparing to apply", "A worker restores and verifies the confirmed plan."),
    RunState.APPLYING: ("applying", "The engine applies the confirmed plan; this cannot be interrupted from here."),
}


_VALIDATING: Final = ("validating", "A worker validates the fork's commit, without secrets, state or tokens.")


def _under_way(view: RunView) -> _Said:
    """What a worker is doing."""
    word, line = _VALIDATING if view.run.is_from_fork else _PHASES[view.run.state]
    is_apply = view.run.state in (RunState.PREPARING_APPLY, RunState.APPLYING)
    far = how_far(view)
    title = (f"{word} {view.counts}" if is_apply else word) + (f" · {far}" if far else "")
    by = (f"Confirmed by {person(view.run.decided_by)}.",) if is_apply and view.run.decided_by else ()
    stop = f"{command(view, Verb.STOP, view.run.id)} stops it." if Step.STOP in allowed(view.run) else ""
    return _Said(status=CheckStatus.IN_PROGRESS, title=title, lines=(line, *by, stop))


def _waiting(view: RunView) -> _Said:
    """A plan that a person must decide: first of all the command that does it."""
    run, name = view.run, view.run.stack_name
    discard, replan = command(view, Verb.DISCARD, name), command(view, Verb.REPLAN, name)
    others = f"{discard} turns it down, {replan} makes another plan of the same commit."
    if run.type is RunType.DESTROY:
        name = run.id  # a name means the deployment
        discard, replan = command(view, Verb.DISCARD, name), command(view, Verb.REPLAN, name)
        others = f"{discard} turns it down, {replan} makes another plan of the same commit."
    if run.state is RunState.PENDING_REVIEW:
        without = command(view, Verb.DISCARD, run.id)
        line = f"A policy warned: this preview waits for a review. {without} ends it without one."
        return _decide("waiting for review", view, line)
    if view.is_settings_changed:
        line = f"The settings of the stack changed since this plan was made, so it can no longer be confirmed. {others}"
        return _decide("its settings changed since", view, line)
    if view.is_stale:
        line = (
            "The stack's state moved since this plan was made, so it can no longer be applied. "
            f"{replan} makes another plan of the same commit, from the state as it is; {discard} turns it down."
        )
        return _decide("the state moved since", view, line)
    if view.is_superseded:
        anyway = command(view, Verb.CONFIRM, f"{run.id} {SUPERSEDED_OPTION}")
        makes_way = command(view, Verb.DISCARD, run.id)
        line = f"Superseded: a newer commit of the stack has arrived. {makes_way} makes way for it."
        return _decide("superseded by a newer commit", view, line, f"To apply this older plan all the same: {anyway}")
    if view.unjudged:
        return _decide("a policy has not judged it", view, unjudged_line(view), others)
    if run.plan is not None and run.plan.approval is Approval.UNDECIDED:
        line = f"This plan cannot be confirmed before it is approved. {others}"
        return _decide("waiting for approval", view, line, confirm_line(view))
    where = f"Write it {_HERE if view.is_in_comment else _ON_GITHUB}."
    does = "destroys what this plan names" if run.type is RunType.DESTROY else "applies exactly this plan"
    confirm = f"{command(view, Verb.CONFIRM, name)} {does}. {where}"
    if run.targeting is not None:
        others = f"{discard} turns it down, {replan} makes another plan of the whole commit."
        why = f"part of plan {run.targeting.of_plan} · waiting for confirmation"
        pulled_in = () if view.is_veiled else pulled_in_lines(view)
        return _decide(why, view, confirm, confirm_line(view), others, chosen_line(view), *pulled_in)
    return _decide("waiting for confirmation", view, confirm, confirm_line(view), others)


_ON_GITHUB: Final = "as a comment on this commit or its pull request"
_HERE: Final = "here, as a comment on this pull request"


def _decide(why: str, view: RunView, *lines: str) -> _Said:
    """A completed check run that asks for a decision."""
    return _Said(
        status=CheckStatus.COMPLETED,
        conclusion=Conclusion.ACTION_REQUIRED,
        title=f"{view.counts} · {why}",
        lines=(*lines, expiry(view), kept(view), _hold(view) if view.stack_hold else ""),
    )


def _finished(view: RunView) -> _Said:
    """It ended well: nothing to do, planned only, or applied."""
    run = view.run
    if run.type is RunType.DRIFT:
        return _compared(view)
    if run.is_from_fork:
        title, line = "validated, not planned", "The configuration is valid. Nothing was planned, and nothing applied."
    elif not view.has_changes and run.targeting is not None:
        title, line = "nothing to do for what was chosen", "What was chosen is what the commit describes already."
    elif not view.has_changes:
        title, line = "no changes", "What exists is what the commit describes: there was nothing to do."
    elif run.type is RunType.PROPOSED:
        title, line = view.counts, "This is what the change would do once it has landed. Nothing was applied."
    elif run.confirmed_digest is None:
        title, line = view.counts, "This is what the commit would change. It was planned only: nothing was applied."
    else:
        word = "destroyed" if run.type is RunType.DESTROY else "applied"
        title = f"{word}: {view.counts}"
        line = f"{word.capitalize()} exactly as planned. Confirmed by {person(run.decided_by)}."
    why = fence(tail(run.reason, MAX_REASON))
    is_settled = run.confirmed_digest is not None or not view.has_changes
    pending = still_pending_lines(view) if is_settled and not view.is_veiled else ()
    lines = (line, _planned(run), promotion(view), why, chosen_line(view), *pending)
    return _Said(status=CheckStatus.COMPLETED, conclusion=Conclusion.SUCCESS, title=title, lines=lines)


def _compared(view: RunView) -> _Said:
    """What a drift run found."""
    found = compared(view)
    return _Said(status=CheckStatus.COMPLETED, conclusion=found.conclusion, title=found.title, lines=(found.line,))


def _planned(run: Run) -> str:
    """Which commit a proposed run planned: the merge that GitHub tried, or the head itself; empty for other runs."""
    if run.type is not RunType.PROPOSED or run.is_from_fork:
        return ""
    if run.note:
        return f"{sentence(run.note[:1].upper() + run.note[1:])}."
    if run.source_sha != run.head_sha:
        return f"Planned {code(short(run.source_sha))}, the merge of {code(short(run.head_sha))} with its base."
    return f"Planned the commit {code(short(run.head_sha))} itself."


def _failed(view: RunView) -> _Said:
    """It ended badly: the reason first, then what to do."""
    run = view.run
    reason = _engines_words(view)
    if run.plan is not None and view.is_drift_over:  # denied then, and over now
        return _compared(view)
    if run.plan is not None and (run.plan.verdict is Verdict.DENIED or run.plan.approval is Approval.REJECTED):
        return _judged(view)
    if run.is_outcome_unknown:
        title = "outcome unknown: the worker was lost while applying"
        lines: tuple[str, ...] = (
            "**It is not known what was applied.** The worker was lost meanwhile, and an apply is never started twice.",
            reason,
            (
                "Look at the infrastructure and at the stack's state before anything else. What the lost worker may "
                f"have written is kept apart: on the server, {code(f'trackside state list {run.stack_id}')} shows it, "
                f"{code(f'trackside state adopt {run.stack_id} VERSION')} makes it the state, and "
                f"{code(f'trackside state drop {run.stack_id} VERSION')} lets it go."
            ),
            _quarantined(view),
            _hold(view) if view.stack_hold else "",
        )
    elif run.obstacle is not None:
        title, line = _obstacle(view)
        lines = (line, reason)
    elif run.confirmed_digest is not None:
        title = "apply failed"
        lines = (
            reason,
            "Part of the plan may have been applied; the state records what was. Push a fix: the next run plans anew.",
            make_again(view),
        )
    else:
        what = "validation" if run.is_from_fork else "plan"
        title = f"{what} failed" if run.attempts == 0 else f"{what} failed after {run.attempts} lost attempts"
        lines = (reason, "Nothing was applied. Push a fix: it makes the next run.", make_again(view))
    return _Said(status=CheckStatus.COMPLETED, conclusion=Conclusion.FAILURE, title=title, lines=lines)


def _engines_words(view: RunView) -> str:
    """Why the run failed, as the engine said it: as little for everybody as its log."""
    if view.is_veiled:
        return f"Why is on [the run's page](<{view.run_url}>)." if view.run.reason else ""
    return fence(tail(view.run.reason, MAX_REASON))


def _judged(view: RunView) -> _Said:
    """Its policies ended it, or people did by them."""
    run = view.run
    is_denied = run.plan is not None and run.plan.verdict is Verdict.DENIED
    title = f"{view.counts} · denied by a policy" if is_denied else f"{view.counts} · rejected"
    why = "" if is_denied else fence(tail(run.reason, MAX_REASON))
    lines = (why, "Nothing was applied. Push a change: it makes the next run.", make_again(view))
    return _Said(status=CheckStatus.COMPLETED, conclusion=Conclusion.FAILURE, title=title, lines=lines)


def _obstacle(view: RunView) -> tuple[str, str]:
    """What the engine met before it began, as a title and a paragraph with the way on."""
    run = view.run
    what = "apply" if run.confirmed_digest is not None else "plan"
    retry = make_again(view)
    again = retry or "The next push makes a plan from the state as it is."
    match run.obstacle:
        case Obstacle.STALE:
            line = "Another write moved the stack's state between this plan and its apply, so the engine refused it."
            return "apply refused: the saved plan is stale", f"{line} Nothing was applied. {again}"
        case _:
            line = "Somebody else held the lock of the stack's state, and did not let go of it in time."
            after = f"Once the lock is free: {retry}" if retry else "Once the lock is free, the next push makes a run."
            return f"{what} failed: the state is locked", f"{line} Nothing was applied. {after}"


def _quarantined(view: RunView) -> str:
    """The states that the lost worker still wrote: they may say what was applied."""
    if not view.quarantined:
        return ""
    names = ", ".join(code(one) for one in view.quarantined)
    if len(view.quarantined) == 1:
        return f"A state that the lost worker still wrote is kept apart, and is not the stack's current one: {names}."
    return f"States that the lost worker still wrote are kept apart, and are not the stack's current one: {names}."


def _ended(view: RunView) -> _Said:
    """It ended without success or failure: by whom, and why."""
    run = view.run
    word = phase_word(run.state)
    by = f" by {run.decided_by}" if run.decided_by and run.state is not RunState.SKIPPED else ""
    said = f"{word.capitalize()} by {person(run.decided_by)}." if by else f"{word.capitalize()}."
    why = fence(tail(run.reason, MAX_REASON))
    lines = (f"{said} Nothing of it was applied.", why, make_again(view))
    # A preview is discarded where a review was asked for: GitHub lets what is neutral pass, as `trackside` does not.
    is_unreviewed = run.type is RunType.PROPOSED and run.state is RunState.DISCARDED
    conclusion = Conclusion.FAILURE if is_unreviewed else Conclusion.NEUTRAL
    return _Said(status=CheckStatus.COMPLETED, conclusion=conclusion, title=f"{word}{by}", lines=lines)


def _summary(view: RunView, said: _Said, unshown: str) -> str:
    """What to do, the counts, what the engine warned of, how many annotations are left out, and where it comes from."""
    return assembled((*_prose_parts(view, said), *_counted(view), *_warned(view), unshown), _footer(view))


def _counted(view: RunView) -> tuple[str, ...]:
    """The counts: squares, resources and outputs, module by module."""
    if view.run.plan is None:
        return ()
    modules = module_table(view.summary) if view.summary is not None and not view.is_veiled else ""
    return strip_line(view.delta), counts_table(view.delta), modules


_OF_PARTS: Final = frozenset({"Resource targeting is in effect", "Applied changes may be incomplete"})
"""What an engine warns of at every plan of a part. Source: Terraform 1.11 and OpenTofu 1.9, `-target`."""


def _warned(view: RunView) -> tuple[str, ...]:
    """What the engine warned of when it planned."""
    if view.summary is None or view.is_veiled:
        return ()
    remarks = view.summary.remarks
    if view.run.targeting is not None:  # that it is a part is said in our own words
        remarks = tuple(one for one in remarks if one.summary not in _OF_PARTS)
    return remark_lines(remarks, view.summary.remarks_left_out)


def _prose_parts(view: RunView, said: _Said) -> tuple[str, ...]:
    policies = policy_lines(view.run.plan.rulings) if view.run.plan is not None else ()
    denied = policies if view.run.state is RunState.FAILED else ()
    after = () if denied else policies
    lines = (*denied, *said.lines, *review_lines(view), *after, _dangers(view), failed_before(view), origin(view))
    return (*lines, runs_after(view.below), *triggered_lines(view.triggered))


def _dangers(view: RunView) -> str:
    """What is lost if the plan is applied, in words; empty when nothing is, or when it is over."""
    counts = view.delta.resources
    lost = []
    if counts.delete:
        lost.append(f"destroys {counts.delete:,} {'resource' if counts.delete == 1 else 'resources'}")
    if counts.replace:
        what = "resource" if counts.replace == 1 else "resources"
        lost.append(f"replaces {counts.replace:,} {what} (destroyed, then created again)")
    is_ahead = view.run.state in (RunState.UNCONFIRMED, RunState.PENDING_REVIEW)
    if is_ahead and view.run.type is RunType.DESTROY:
        what = f"{counts.delete:,} {'resource' if counts.delete == 1 else 'resources'}"
        return f"**This plan destroys the stack: all that its state holds, {what}.**"
    is_preview = view.run.state is RunState.FINISHED and view.run.type is RunType.PROPOSED
    return f"**This plan {' and '.join(lost)}.**" if lost and (is_ahead or is_preview) else ""


def _footer(view: RunView) -> str:
    """Run, plan, commit, cause: what a person may want to quote or look up."""
    run = view.run
    plan = f"plan {run.plan_number}"
    if run.plan is not None:
        plan += f" {code(run.plan.digest[:16])} by {code(run.plan.engine, limit=60)}"
    commit = f"commit {code(short(run.head_sha))}" + (f" {code(run.message, limit=100)}" if run.message else "")
    by = FOUND_BY if run.triggered_by == FOUND_BY else f"by {person(run.triggered_by)}"
    if run.trigger in (Trigger.POLICY, Trigger.DEPENDENCY):
        by = code(run.asked_by or "", limit=100)
    who = f"{code(cause(run), limit=80)} {by}"
    return f"[Run {run.id}](<{view.run_url}>) · {plan} · {commit} · {who}"


def _text(view: RunView) -> str:
    """Outputs after an apply, then the changes; where everybody can read them, only where they are to be found."""
    if view.is_veiled:
        link = f"What changes is on [the run's page](<{view.run_url}>), for those who may write here."
        return link if view.has_changes else ""
    outputs = _outputs(view.outputs) if view.run.state is RunState.FINISHED else ""
    if view.summary is None or not view.summary.delta.resources.total + view.summary.delta.outputs.total:
        return outputs
    head = "### Changes\n\n"
    room = MAX_BYTES - size_bytes(outputs) - len(head) - 2
    changes = change_list(view.summary, run_url=view.run_url, limit_bytes=room)
    return "\n\n".join(part for part in (outputs, head + changes if changes else "") if part)


def _outputs(outputs: tuple[Output, ...]) -> str:
    """The outputs as a code block, sensitive ones masked, with a count of what is left out."""
    rows: list[str] = []
    room = MAX_OUTPUTS_BYTES
    for output in outputs:
        value = MASK if output.sensitive else cut(output.value if output.value is not None else "null", 1_000)
        row = f"{shortened(output.name, 200)} = {visible(value)}"
        room -= size_bytes(row) + 1
        if room < 0:
            break
        rows.append(row)
    missing = len(outputs) - len(rows)
    if missing:
        rows.append(f"… and {missing:,} more")
    block = fence("\n".join(rows))
    return f"### Outputs\n\n{block}" if block else ""


def _hold(view: RunView) -> str:
    """That the stack is on hold, and why."""
    return on_hold(view.run.stack_name, view.stack_hold, view.prefix)
