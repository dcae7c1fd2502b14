"""What the App says to commands that make runs or are about a stack: plan, deploy, retry, stop, cancel, lock, unlock.

Pure, as `words`, which has what all commands share. Foreign words go into code; nobody is mentioned.
"""

from collections.abc import Sequence

from app.core.command import Verb, nearest_name
from app.core.markdown import code, sentence
from app.core.run import Run, RunState, RunType
from app.core.runview import short
from app.core.stack import Stack
from app.core.words_run import word_of

MAX_CANDIDATES = 20
"""Stacks that a reply lists; the rest is counted."""


def which_stack(verb: Verb, names: Sequence[str], prefix: str) -> str:
    """No stack was named, and it is not plain which are meant: the same command with each name, ready to copy."""
    if not names:
        return (
            f"Nothing to {verb.value}: this repository has no stacks. The stacks file on its default branch names them."
        )
    rows = [f"- {code(f'{prefix} {verb.value} {name}')}" for name in names[:MAX_CANDIDATES]]
    if len(names) > len(rows):
        rows.append(f"- and {len(names) - len(rows):,} more")
    return "\n".join((f"Which stack should I {verb.value}? I did nothing yet.", "", *rows))


def no_stack(verb: Verb, name: str, known: Sequence[str] = (), prefix: str = "") -> str:
    """The name is no stack of the repository; perhaps one of nearly that name is (`known`)."""
    said = f"Nothing to {verb.value}: {code(name)} is no stack of this repository."
    near = nearest_name(name, known)
    if near:
        return f"{said} Did you mean {code(f'{prefix} {verb.value} {near}')}?"
    return f"{said} The stacks file names them."


def no_commit(verb: Verb) -> str:
    """The command has no commit to speak of: its pull request is gone, or the stack has none yet."""
    return f"Nothing to {verb.value}: there is no commit here that I can see."


def not_the_head(sha: str, head: str, prefix: str, names: Sequence[str]) -> str:
    """`--sha` names another commit than the head: what the person has looked at is not what would be planned."""
    again = code(" ".join((f"{prefix} plan", *names, f"--sha {head}")))
    return (
        f"Not done: {code(short(sha))} is not the head any more, {code(short(head))} is. Look at it, then write {again}"
    )


def from_fork(verb: Verb, head: str, prefix: str, names: Sequence[str]) -> str:
    """The pull request's head is in another repository, and nobody said to have looked at it."""
    if verb is not Verb.PLAN:
        nothing = f"so there is nothing to {verb.value} before it is merged"
        return f"Not done: the pull request comes from a fork, {nothing}."
    plan = code(" ".join((f"{prefix} plan", *(names or ["STACK"]), f"--sha {head}")))
    return (
        f"Not done: the pull request comes from a fork. Read the commit; then {plan} has it validated, without "
        "secrets, state or tokens, until the next push."
    )


def not_here(verb: Verb, head: str) -> str:
    """The commit is on no branch of this repository that is known: GitHub shows commits of forks as well."""
    return (
        f"Not done: {code(short(head))} is on no branch of this repository that I know of, so I do not {verb.value} "
        "it. Push it to a branch, or open a pull request."
    )


def closed(verb: Verb) -> str:
    """The pull request was closed without a merge."""
    return (
        f"Not done: the pull request is closed without a merge, so there is nothing of it to {verb.value}. Reopen it."
    )


def not_tracked(name: str, branch: str, head: str, prefix: str) -> str:
    """Deploy met a commit that the stack's branch does not hold."""
    return (
        f"Not done: {code(short(head))} is not on {code(branch)}, the branch that {code(name)} deploys. "
        f"Merge it first; {code(f'{prefix} plan {name}')} shows what it would change."
    )


def no_promotion(name: str, prefix: str) -> str:
    """Deploy met a pull request that is not merged, of a stack that does not allow it."""
    return (
        f"Not done: the pull request is not merged, and {code(name)} deploys merged commits only. Merge it, or set "
        f"`allow_promotion: true` for the stack; {code(f'{prefix} plan {name}')} shows what it would change."
    )


def behind(name: str, head: str, stack_head: str) -> str:
    """Deploy met a commit that would take the stack back."""
    return (
        f"Not done: {code(name)} is at {code(short(stack_head))}, which {code(short(head))} does not hold, so "
        "deploying it would take the stack back. Bring the branch up to date; to go back, revert the commit."
    )


def settings_on_their_way(verb: Verb, name: str) -> str:
    """A deploy or a retry met a stack that the organisation's new settings have not reached."""
    return (
        f"Not done: the organisation's settings changed a moment ago and are about to reach {code(name)}, so there is "
        f"nothing to {verb.value} yet. Repeat the command in a minute."
    )


def head_moved(name: str) -> str:
    """The stack's head moved between the look at git and the command."""
    return f"Not done: a newer commit of {code(name)} arrived at the same moment. Look at it, then repeat the command."


def live_already(verb: Verb, run: Run, prefix: str) -> str:
    """A run of the same commit, of the same kind, has not ended yet."""
    return (
        f"Not done: run {code(run.id)} of {code(run.stack_name)} and this commit is {word_of(run)} already, so "
        f"there is nothing to {verb.value}. {_instead(run, prefix)}"
    )


def button_is_old(verb: Verb, run: Run) -> str:
    """A button was pressed that does not stand under the run's plan."""
    return f"Not done: that button is of another plan of {code(run.stack_name)}, so there is nothing to {verb.value}."


def planning(run: Run) -> str:
    """A plan was carried out."""
    if run.is_from_fork:
        return (
            f"Validating {code(run.stack_name)} at {code(short(run.head_sha))} in run {code(run.id)}: it is a fork's "
            "commit, so it gets no secret, no state and no token, and is not planned."
        )
    return f"Planning {code(run.stack_name)} at {code(short(run.head_sha))} in run {code(run.id)}: a preview."


def deploying(run: Run, stack: Stack) -> str:
    """A deploy was carried out."""
    said = f"Planning {code(run.stack_name)} at {code(short(run.head_sha))} in run {code(run.id)}, to deploy it."
    return f"{said}{_kept(run, stack)}"


def after(below: Sequence[Run]) -> tuple[str, ...]:
    """The runs that follow those, of stacks that depend on theirs: a line, or none."""
    if not below:
        return ()
    named = [f"{code(run.stack_name)} (run {code(run.id)})" for run in below[:MAX_CANDIDATES]]
    more = f" and {len(below) - MAX_CANDIDATES:,} more" if len(below) > MAX_CANDIDATES else ""
    return (f"After it: {', '.join(named)}{more}.",)


def retried(run: Run, stack: Stack) -> str:
    """A retry was carried out; `run` is the new run."""
    return (
        f"Run {code(run.id)} makes {code(str(run.retry_of))} of {code(run.stack_name)} once more, of the same commit "
        f"{code(short(run.head_sha))}.{_kept(run, stack)}"
    )


def started_here(run: Run, stack: Stack) -> str:
    """A destroy or a drift run was started on the server."""
    where = f"{code(run.stack_name)} at {code(short(run.head_sha))} in run {code(run.id)}"
    if run.type is RunType.DESTROY:
        return f"Planning to destroy everything of {where}; a person has to confirm that plan.{_kept(run, stack)}"
    return f"Comparing what exists with {where}; nothing is applied.{_kept(run, stack)}"


def under_way(run: Run) -> str:
    """A run of that kind has not ended yet."""
    return f"Not done: {run.type.value} run {code(run.id)} of {code(run.stack_name)} is {word_of(run)} already."


def no_stack_here(name: str) -> str:
    """The stack is not in the stacks file any more."""
    return f"Not done: {code(name)} is not in the stacks file any more, so nothing of it runs. Put it back there first."


def never_deployed(name: str, verb: str) -> str:
    """The stack never had a tracked commit."""
    return f"Not done: {code(name)} was never deployed, so there is nothing to {verb}."


def retried_already(run: Run, by: Run) -> str:
    """Another run makes this one once more."""
    return (
        f"Not done: run {code(by.id)} makes {code(run.id)} of {code(run.stack_name)} once more already, and is "
        f"{word_of(by)}."
    )


def retry_superseded(run: Run) -> str:
    """A retry met a run that a newer commit has passed."""
    return (
        f"Not done: a newer commit of {code(run.stack_name)} has arrived since {code(short(run.head_sha))}, and holds "
        "its place. Retry the run of that commit, or deploy it."
    )


def retry_not_looked_at(run: Run) -> str:
    """A retry came to mean a promotion after its pull request could be asked about."""
    return (
        f"Not done: run {code(run.id)} of {code(run.stack_name)} ended at the same moment, and its pull request was "
        "not looked at. Repeat the command."
    )


def stopping(run: Run) -> str:
    """A stop was carried out: the worker has still to hear of it."""
    return f"Run {code(run.id)} of {code(run.stack_name)} is being stopped: its worker ends what it does."


def canceled(run: Run) -> str:
    """A cancel was carried out."""
    return f"Canceled: run {code(run.id)} of {code(run.stack_name)} does not start."


def locked(stack: Stack) -> str:
    """A lock was carried out."""
    return (
        f"{code(stack.name)} is yours, {code(stack.lock_owner)}: only your runs go ahead, and nothing is deployed by "
        "itself until you unlock it."
    )


def locked_by_other(stack: Stack, prefix: str) -> str:
    """A lock or a confirm met somebody else's lock."""
    why = f" ({code(stack.lock_note, limit=200)})" if stack.lock_note else ""
    unlock = code(f"{prefix} unlock {stack.name}")
    return (
        f"Not done: {code(stack.lock_owner)} has locked {code(stack.name)}{why}, and only their runs go ahead. "
        f"They, or an admin, can give it back: {unlock}"
    )


def unlocked(stack: Stack, taken: Sequence[str], left: Sequence[str]) -> str:
    """An unlock was carried out; `taken` and `left` are locks and holds in words."""
    if left:
        kept = sentence("; ".join(left))
        return f"Taken away from {code(stack.name)}: {sentence('; '.join(taken))}. What stays needs an admin: {kept}."
    return f"{code(stack.name)} is free again: {sentence('; '.join(taken))} was taken away."


def not_locked(stack: Stack) -> str:
    """An unlock met a stack that nothing keeps."""
    return f"{code(stack.name)} is neither on hold nor locked."


def needs_admin(stack: Stack, left: Sequence[str]) -> str:
    """An unlock met only locks that are somebody else's."""
    kept = sentence("; ".join(left))
    return f"Not done: {code(stack.name)} is kept by {kept}. Whoever took it can unlock it, or an admin."


def which_run(verb: Verb, runs: Sequence[Run]) -> str:
    """On the server, a stack was named that has no run, or several, that take the command; or one that destroys it."""
    if not runs:
        return f"nothing to {verb.value}: no run of this stack takes it"
    which = "several runs of this stack can be meant" if len(runs) > 1 else "a stack's id never means a destroy"
    rows = [f"  {run.id}  {run.type.value}  {word_of(run)}  {short(run.head_sha)}" for run in runs[:MAX_CANDIDATES]]
    return "\n".join((f"{which}; name one to {verb.value}:", *rows))


def _instead(run: Run, prefix: str) -> str:
    """What can be said to a live run."""
    match run.state:
        case RunState.UNCONFIRMED:
            return f"{code(f'{prefix} confirm {run.id}')} applies it."
        case RunState.QUEUED | RunState.READY:
            return f"{code(f'{prefix} cancel {run.id}')} withdraws it."
        case _:
            return "Its check says how it goes on."


def _kept(run: Run, stack: Stack) -> str:
    """What keeps a new run of the stack from going ahead; empty when nothing does."""
    if stack.hold_reason and run.is_live:
        return f" It waits: the stack is on hold ({code(stack.hold_reason, limit=200)})."
    if run.type.is_state_changing and stack.is_kept_from(run.triggered_by):
        return f" It waits: {code(stack.lock_owner)} has locked the stack."
    return ""
