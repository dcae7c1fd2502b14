"""The page of the documentation about commands: docs/commands.md is what `commands_page` gives.

Generated from the grammar, the permissions and the sentences themselves, so that page and behaviour cannot differ.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec

from app.core import words, words_policy, words_start
from app.core.command import GRAMMAR, MAX_COMMANDS, MAX_NOTE, MAX_TARGETS, NOTE_MARK, Form, Verb
from app.core.names import ConfigVersionId, Digest, RepositoryId, RunId, Sha, StackId
from app.core.permit import needed
from app.core.plan import Delta
from app.core.retry import RETRYABLE
from app.core.ruling import Approval, ApprovalRuling
from app.core.run import TABLE, Plan, Run, RunState, RunType, Step, Trigger
from app.core.stack import Permission, Stack, StackSettings
from app.core.words_run import phase_word

PREFIX: Final = "/trackside"
_AT: Final = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
_SHA: Final = Sha("3fa9c1d2" * 5)
_HEAD: Final = f"""# Commands

Generated from the grammar in `app/core/command.py` by `app/core/command_page.py`; a test fails when the two differ. To
write it again: `python -c "from app.core.command_page import commands_page; print(commands_page(), end='')" >
docs/commands.md`.

A command is a line of a new comment, on a pull request (open or merged) or on a commit. It begins the line; quotes,
lists, code and edited comments never fire. A comment has up to {MAX_COMMANDS} of them, carried out in their order.
Capitals, blanks that do not break and the long dashes of a telephone are read as what was meant.
`STACK` is a stack's name, `RUN` a run's id; a note has up to {MAX_NOTE} characters, `plan` and `deploy` take up to
{MAX_TARGETS} stacks. On a pull request the answer is a reaction, with words when something was refused; on a commit it
is a comment. `plan` and `deploy` are seen at once (eyes) and answered when git has been asked.

An option that a command does not have is refused by its name. A note begins with the first word behind the stack or
run; where that word looks like an option, put `{NOTE_MARK}` before it or the note in quotes:
`{PREFIX} lock network {NOTE_MARK} --refresh-only is tried out`.

A comment that begins with the prefix, or with `/spacelift`, reaches push policies, too (`pull_request.comment`). Where
a policy makes a run of it, no command of the same comment starts another.
"""
_STEPS: Final = {
    Verb.CONFIRM: Step.CONFIRM,
    Verb.DISCARD: Step.DISCARD,
    Verb.REPLAN: Step.REPLAN,
    Verb.STOP: Step.STOP,
    Verb.CANCEL: Step.CANCEL,
}
_WHO: Final = {
    Verb.UNLOCK: "; another person's lock, and a policy's, need admin",
    Verb.RETRY: "; a destroy run needs admin",
    Verb.CONFIRM: "; `confirm:` of the stack and the reviewers of its GitHub environment say more",
}
_ON_SERVER: Final = """## On the server

Whoever can run `trackside` on the server has the keys already, and acts as an admin; what they do is in the audit log
as what everybody does. `RUN|STACK` is a run's id, or a stack's id for its one run that takes the command.

| command | does |
| --- | --- |
| `trackside plan STACK [--sha SHA]` | a preview of the stack's head, else of where its branch is, else of that commit |
| `trackside deploy STACK [--sha SHA]` | the same as a tracked run: also a stack's very first |
| `trackside confirm\\|discard\\|replan\\|stop\\|cancel\\|retry RUN\\|STACK` | as the command of that name |
| `trackside approve\\|reject RUN\\|STACK [note]` | as the command of that name, said by whoever is logged in there |
| `trackside lock\\|unlock STACK [note]` | as the command of that name; unlock takes a policy's lock away, too |
| `trackside destroy STACK` | plans to destroy all that the stack's state holds; waits for `confirm RUN` |
| `trackside drift STACK` | compares what exists with what the stack has deployed; applies nothing |

A destroy run is confirmed by its own id alone: the stack's name always means its deployment.
"""
_BUTTONS: Final = """## Buttons

| check run | buttons |
| --- | --- |
| a plan that waits | Confirm, Discard, Replan; without Confirm once it is superseded or its settings changed |
| a preview that has finished | Plan again; before it Deploy, where the stack has `allow_promotion: true` |
| a failed run | Retry; none once a newer commit has its place, or while it is not known what was applied |

A button is of the plan that it stands under: pressed later, it is refused.

## Boxes

The App keeps one comment on each pull request: its stacks with what would change, and once it is merged what becomes
of it. Below a plan that waits, each change has a box. Tick some, and last the box below them: that is
`replan RUN only` the ticked numbers, and needs what `replan` needs. Nothing is ever confirmed by a box. A box of a plan
that has changed since is refused, as a button is. Whatever else is changed in the comment is put back; one that was
deleted is made again when there is news. `comments: off` keeps a stack out of it, `comments: changes` until its plan
changes something or it fails.
"""


def commands_page() -> str:
    """The page: each command, who may give it, when it is taken, what it answers."""
    parts = [_HEAD, *(_section(form) for form in GRAMMAR), _BUTTONS, _ON_SERVER]
    return "\n".join(parts)


def _section(form: Form) -> str:
    verb = form.verb
    lines = [
        f"## {verb.value}",
        "",
        f"`{f'{PREFIX} {verb.value} {form.arguments}'.strip()}` {form.meaning}.",
        "",
        f"Needs {_who(verb)}.{_when(verb)}",
        "",
    ]
    answers = _of_review(verb) if verb.is_review else _answers(verb)
    if answers:
        lines += ["It answers, for instance:", "", *(f"- {' '.join(answer.split())}" for answer in answers), ""]
    return "\n".join(lines)


def _who(verb: Verb) -> str:
    least, most = needed(verb, Permission.READ), needed(verb, Permission.ADMIN)
    more = ", or what `confirm.permission` of the stack asks for" if least is not most else ""
    return f"{least.value} permission{more}{_WHO.get(verb, '')}"


def _when(verb: Verb) -> str:
    """In which states a run takes it."""
    if verb is Verb.RETRY:
        states = [state for state in RunState if state in RETRYABLE]
    elif verb.is_review:
        states = [RunState.PENDING_REVIEW, RunState.UNCONFIRMED]
    elif verb in _STEPS:
        states = [state for state in RunState if (state, _STEPS[verb]) in TABLE]
    else:
        return ""
    return f" Taken while the run is {', '.join(phase_word(state) for state in states)}."


def _answers(verb: Verb) -> tuple[str, ...]:
    """What a person reads: an example of it done, then of it refused."""
    run, stack = _example(RunState.UNCONFIRMED), _stack()
    match verb:
        case Verb.PLAN:
            unseen = words_start.from_fork(verb, _SHA, PREFIX, ["network"])
            return (words_start.planning(run), words_start.no_stack(verb, "netwrk"), unseen)
        case Verb.DEPLOY:
            return (
                words_start.deploying(run, stack),
                words_start.not_tracked("network", "main", _SHA, PREFIX),
                words_start.no_promotion("network", PREFIX),
                words_start.behind("network", "b" * 40, _SHA),
            )
        case Verb.CONFIRM:
            return (
                words.confirmed(run),
                words.superseded(run, PREFIX),
                words.settings_changed(run, PREFIX),
                words_policy.needs_approval(run, [_UNDECIDED], PREFIX),
                words_policy.may_not_confirm("bob made this change or asked for this run", ""),
            )
        case Verb.DISCARD:
            return (words.discarded(run), words.not_waiting(verb, _example(RunState.APPLYING), PREFIX))
        case Verb.REPLAN:
            return (words.replan_requested(run), words.comment_too_old(verb, run, PREFIX))
        case Verb.STOP:
            return (words_start.stopping(run), words.not_waiting(verb, _example(RunState.QUEUED), PREFIX))
        case Verb.CANCEL:
            return (words_start.canceled(run), words.not_waiting(verb, _example(RunState.PLANNING), PREFIX))
        case Verb.RETRY:
            again = _example(RunState.QUEUED, retry_of=RunId("01JDV3F4K5M6N7P8Q9R0S1T2V1"))
            return (words_start.retried(again, stack), words_start.retry_superseded(run))
        case Verb.LOCK:
            return (words_start.locked(stack), words_start.locked_by_other(stack, PREFIX))
        case Verb.UNLOCK:
            lock = f"the lock of {stack.lock_owner}"
            return (words_start.unlocked(stack, [lock], []), words_start.needs_admin(stack, [lock]))
        case Verb.APPROVE | Verb.REJECT | Verb.WHY | Verb.HELP:
            return ()


def _of_review(verb: Verb) -> tuple[str, ...]:
    """The same of a review."""
    run = _example(RunState.UNCONFIRMED)
    if verb is Verb.REJECT:
        return (words_policy.review_rejects(run), words_policy.reviewed(run, verb, [_UNDECIDED]))
    approved = msgspec.structs.replace(_UNDECIDED, decision=Approval.APPROVED)
    return (words_policy.reviewed(run, verb, [approved]), words_policy.nobody_asks(run))


_UNDECIDED: Final = ApprovalRuling(
    name="two-eyes", digest="", path="policies/two-eyes.rego", decision=Approval.UNDECIDED, approved_by=("alice",)
)


def _stack() -> Stack:
    return Stack(
        id=StackId("01JDV3F4K5M6N7P8Q9R0S1T2S1"),
        repository_id=RepositoryId(1),
        settings=StackSettings(name="network", branch="main"),
        policies=(),
        config_version_id=ConfigVersionId("01JDV3F4K5M6N7P8Q9R0S1T2C1"),
        is_detached=False,
        state_mode=None,
        head_sha=_SHA,
        head_seq=1,
        lock_owner="alice",
    )


def _example(state: RunState, *, retry_of: RunId | None = None) -> Run:
    """The run of which the answers speak."""
    plan = Plan(
        number=1,
        digest=Digest("0" * 64),
        delta=Delta(),
        has_changes=True,
        engine="terraform 1.11.4",
        created_at=_AT,
    )
    return Run(
        id=RunId("01JDV3F4K5M6N7P8Q9R0S1T2V3"),
        stack_id=_stack().id,
        stack_name="network",
        repository_id=RepositoryId(1),
        type=RunType.TRACKED,
        state=state,
        head_sha=_SHA,
        source_sha=_SHA,
        ref="refs/heads/main",
        head_seq=1,
        stack_digest=Digest("0" * 64),
        config_version_id=_stack().config_version_id,
        decision_id=None,
        trigger=Trigger.PUSH,
        triggered_by="alice",
        message="",
        created_at=_AT,
        updated_at=_AT,
        plan=plan,
        retry_of=retry_of,
    )
