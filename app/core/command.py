"""The commands that a person can give: their grammar, how a comment is read, what a button sends.

Pure: a comment's text goes in, commands come out. Who may give one is `permit`'s, which run is meant is the flow's.
Markdown is parsed first, so that a quote, code or a hidden remark can never fire.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.core.choice import EXCEPT, ONLY, Choice, read_choice, split_words
from app.core.names import Digest, is_sha
from app.core.typed import lowered, plain_lines, plain_word, words_of


class Verb(StrEnum):
    """What a person may ask for."""

    PLAN = "plan"
    """Make a proposed run: what the commit would change."""
    DEPLOY = "deploy"
    """Make a tracked run: plan the commit, to apply it."""
    CONFIRM = "confirm"
    """Apply the waiting plan."""
    DISCARD = "discard"
    """Turn the waiting plan down."""
    REPLAN = "replan"
    """Make another plan of the same commit."""
    STOP = "stop"
    """Interrupt a run that a worker plans."""
    CANCEL = "cancel"
    """Withdraw a run that no worker has yet."""
    RETRY = "retry"
    """Make the run once more that ended without success."""
    LOCK = "lock"
    """Have the stack for oneself."""
    UNLOCK = "unlock"
    """Give the stack back: its lock, or its hold."""
    APPROVE = "approve"
    """Vouch for a run, where an approval policy counts that."""
    REJECT = "reject"
    """Speak against a run, where an approval policy counts that."""
    WHY = "why"
    """Say why each stack did or did not run for the commit."""
    HELP = "help"
    """List the commands."""

    @property
    def is_question(self) -> bool:
        """True when it changes nothing and means no run."""
        return self in (Verb.WHY, Verb.HELP)

    @property
    def is_start(self) -> bool:
        """True when it means stacks and a commit, and makes runs."""
        return self in (Verb.PLAN, Verb.DEPLOY)

    @property
    def is_review(self) -> bool:
        """True when it says what a person thinks of a run, and moves none by itself."""
        return self in (Verb.APPROVE, Verb.REJECT)

    @property
    def is_about_stack(self) -> bool:
        """True when it means a stack and no run of it."""
        return self in (Verb.LOCK, Verb.UNLOCK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command, read but not yet authorised."""

    verb: Verb
    target: str = ""
    """Stack name or run id as written; empty: the one run that the command can mean."""
    targets: tuple[str, ...] = ()
    """Plan and deploy only: stack names as written, each once; empty: those that the commit's event means."""
    sha: str = ""
    """Plan only: the commit that the person has looked at, all 40 digits; empty: not said."""
    even_if_superseded: bool = False
    """Confirm only: also when a newer commit of the stack has arrived."""
    choice: Choice | None = None
    """Replan only: which changes of the plan that is shown; None: the whole commit."""
    note: str = ""
    """Why, in the person's words, where the form takes a note; at most MAX_NOTE characters, still hostile text."""

    def line(self, meant: str) -> str:
        """The command as the audit log has it: about that run, with what else was asked; hostile text, cut."""
        choice, words = self.choice, [self.verb.value, meant]
        if self.even_if_superseded:
            words.append(SUPERSEDED_OPTION)
        if choice is not None:
            words += [ONLY, *choice.only] if choice.is_only else []
            words += [EXCEPT, *choice.excepted] if choice.is_except else []
        return " ".join(words)[:MAX_AUDITED]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A line that begins with the prefix and is no command."""

    text: str
    """The line as written, cut; hostile text."""
    nearest: str
    """What was probably meant, as one would type it: `/trackside confirm`."""
    meant: str = ""
    """The line with that command in it, where it can be read then: `/trackside confirm network`; hostile text."""
    why: str = ""
    """What is wrong with a command that was nearly right, in words; empty: nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One line of the grammar, for reading and for help."""

    verb: Verb
    arguments: str
    """As help shows them: `[STACK|RUN]`."""
    meaning: str
    options: tuple[str, ...] = ()
    takes_target: bool = True
    needs_target: bool = False
    takes_many: bool = False
    """Any number of stacks."""
    takes_note: bool = False
    takes_choice: bool = False


SUPERSEDED_OPTION: Final = "--even-if-superseded"
SHA_OPTION: Final = "--sha"
GRAMMAR: Final = (
    Form(
        verb=Verb.PLAN,
        arguments=f"[STACK…] [{SHA_OPTION} SHA]",
        meaning="plans the commit as a preview; nothing of it is ever applied",
        options=(SHA_OPTION,),
        takes_many=True,
    ),
    Form(
        verb=Verb.DEPLOY,
        arguments="[STACK…]",
        meaning="plans a commit of its branch to apply it; an unmerged one where the stack allows that",
        takes_many=True,
    ),
    Form(
        verb=Verb.CONFIRM,
        arguments=f"[STACK|RUN] [{SUPERSEDED_OPTION}]",
        meaning="applies the waiting plan, exactly as it was planned",
        options=(SUPERSEDED_OPTION,),
    ),
    Form(
        verb=Verb.DISCARD,
        arguments="[STACK|RUN] [why]",
        meaning="turns the waiting plan down; nothing is applied",
        takes_note=True,
    ),
    Form(
        verb=Verb.REPLAN,
        arguments=f"[STACK|RUN] [{ONLY} CHANGES] [{EXCEPT} CHANGES]",
        meaning="makes another plan of the same commit, or of some of the plan's changes: `1,4-7`, or addresses",
        takes_choice=True,
    ),
    Form(verb=Verb.STOP, arguments="[STACK|RUN]", meaning="interrupts a run that is being planned"),
    Form(verb=Verb.CANCEL, arguments="[STACK|RUN]", meaning="withdraws a run that has not started"),
    Form(
        verb=Verb.RETRY,
        arguments="[STACK|RUN]",
        meaning="makes a run of the same commit again that failed, was stopped, canceled or discarded",
    ),
    Form(
        verb=Verb.LOCK,
        arguments="STACK [note]",
        meaning="keeps a stack for yourself: only your runs go ahead, and nothing is deployed by itself",
        needs_target=True,
        takes_note=True,
    ),
    Form(
        verb=Verb.UNLOCK,
        arguments="STACK [note]",
        meaning="gives it back, or takes its hold away; another person's lock needs admin",
        needs_target=True,
        takes_note=True,
    ),
    Form(
        verb=Verb.APPROVE,
        arguments="[STACK|RUN] [note]",
        meaning="vouches for the run's plan, where an approval policy asks for that; applies nothing by itself",
        takes_note=True,
    ),
    Form(
        verb=Verb.REJECT,
        arguments="[STACK|RUN] [note]",
        meaning="speaks against the run's plan, where an approval policy asks for that",
        takes_note=True,
    ),
    Form(verb=Verb.WHY, arguments="[STACK]", meaning="says why each stack did or did not run for this commit"),
    Form(verb=Verb.HELP, arguments="", meaning="lists these commands", takes_target=False),
)
FORMS: Final = {form.verb: form for form in GRAMMAR}
MAX_COMMANDS: Final = 20
"""Commands of one comment that are read; of the rest it is said that they were not."""
MAX_BODY: Final = 65_536
"""Characters of a comment; GitHub takes no longer one, so a longer one is not from GitHub and says nothing."""
MAX_LINE: Final = 200
"""Characters of an unreadable line that are shown again."""
MAX_AUDITED: Final = 1_000
"""Characters of a command in the audit log."""
MAX_NOTE: Final = 500
MAX_TARGETS: Final = 50
"""Stacks that one command names."""
MAX_COMPARED: Final = 500
"""Names among which the nearest to an unknown one is looked for."""
NOTE_MARK: Final = "--"
"""What follows it is a note, whatever it begins with."""
_TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
_RUN = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE | re.ASCII)
_OPTION = re.compile(r"--?[A-Za-z].*", re.DOTALL)
"""What a person means as an option, where a note could stand as well: a dash alone begins a note."""
_MEANT: Final = {
    "apply": Verb.CONFIRM,
    "abort": Verb.STOP,
    "preview": Verb.PLAN,
    "propose": Verb.PLAN,
    "rerun": Verb.RETRY,
    "destroy": Verb.HELP,
}
"""Words of other tools, and what they mean here."""
_NOT_HERE: Final = {"destroy": "nothing is destroyed by a comment; on the server, `trackside destroy` plans that"}
"""Why a word means nothing here."""


def parse_comment(body: str, prefix: str) -> tuple[Command | Unreadable, ...]:
    """The commands of a comment, in its order: lines of plain paragraphs that begin with the prefix, one a line.

    Quotes, lists, tables, headings, code, HTML comments and struck-out text never fire; nor does an escaped prefix.
    A telephone's capitals, its long dashes and its blanks that do not break are read as what was meant.
    """
    if len(body) > MAX_BODY or lowered(prefix) not in lowered(body):
        return ()
    found: list[Command | Unreadable] = []
    for line in plain_lines(body.replace("\r\n", "\n").replace("\r", "\n")):
        rest = line[len(prefix) :]
        if lowered(line[: len(prefix)]) != lowered(prefix) or words_of(rest[:1]):
            continue  # other text, or a longer word
        read = _read(rest, prefix)
        if read in found:
            continue  # said twice in one comment, it is meant once
        if len(found) == MAX_COMMANDS:
            why = f"a comment takes {MAX_COMMANDS} commands: this one and those after it were not read"
            found.append(_unreadable(words_of(rest), prefix, why=why))
            break
        found.append(read)
    return tuple(found)


def nearest_name(word: str, names: Sequence[str]) -> str:
    """The name that is most like the word; empty when none is."""
    close = difflib.get_close_matches(word[:100], [*dict.fromkeys(names)][:MAX_COMPARED], 1, 0.6)
    return close[0] if close else ""


def help_text(prefix: str) -> str:
    """The commands as Markdown, from the grammar."""
    without = (
        "Without a name a command means the one run that takes it here; `plan` then means every stack that the commit "
        "concerns, and `why` tells of every stack."
    )
    lines = [f"- `{f'{prefix} {form.verb.value} {form.arguments}'.strip()}` {form.meaning}" for form in GRAMMAR]
    return "\n".join(
        (
            "I read these commands, one a line, at the start of a line of a new comment:",
            "",
            *lines,
            "",
            without,
        )
    )


_LETTERS: Final = {
    Verb.CONFIRM: "c",
    Verb.DISCARD: "d",
    Verb.REPLAN: "r",
    Verb.PLAN: "p",
    Verb.DEPLOY: "y",
    Verb.RETRY: "t",
}
_VERBS: Final = {letter: verb for verb, letter in _LETTERS.items()}
_IDENTIFIER = re.compile(r"([cdrpyt])([0-9a-f]{16})")


def button_identifier(verb: Verb, digest: Digest) -> str:
    """What a button sends back: the verb's letter and the first 16 hex digits of the plan's digest (of the run's mark,
    for a retry: what failed may have no plan), 17 characters.

    Raises: ValueError for a verb that has no button, or a digest that is none.
    Source: GitHub takes at most 20 characters, and sends the check run as it is at the click, not as it was seen:
    so the identifier itself has to name the plan.
    """
    text = f"{_LETTERS.get(verb, '')}{digest[:16]}"
    if parse_identifier(text) is None:
        raise ValueError(f"making a button: {verb.value} with digest {digest[:16]!r} has none")
    return text


def parse_identifier(text: str) -> tuple[Verb, str] | None:
    """The verb and the 16 hex digits that a button sent; None when it is not one of ours."""
    match = _IDENTIFIER.fullmatch(text)
    return (_VERBS[match[1]], match[2]) if match else None


def _read(rest: str, prefix: str) -> Command | Unreadable:
    """The command behind the prefix."""
    words = words_of(rest)
    form = next((form for form in GRAMMAR if words and form.verb.value == lowered(words[0])), None)
    if form is None:
        return _unreadable(words, prefix)
    if form.takes_many:
        return _read_many(form, words, prefix)
    if form.takes_choice:
        return _read_choice(form, rest, prefix)
    if form.takes_note:
        return _read_noted(form, words, prefix)
    return _read_one(form, words, prefix)


def _read_one(form: Form, words: Sequence[str], prefix: str) -> Command | Unreadable:
    """A command that names at most one stack or run, with options behind it."""
    typed = [plain_word(word) for word in words[1:]]
    options = [word for word in typed if word.startswith("-")]
    plain = [word for word in typed if word not in options]
    target = plain[0] if plain and form.takes_target else ""
    surplus = plain[1:] if form.takes_target else plain
    unknown = next((option for option in options if option not in form.options), "")
    if unknown:
        return _unreadable(words, prefix, why=_takes_no(form, unknown))
    if target and _TARGET.fullmatch(target) is None:
        return _unreadable(words, prefix, why=_no_name(target))
    if surplus:
        most = "one stack or run" if form.takes_target else "nothing"
        why = f"{form.verb.value} takes {most} behind it, and `{surplus[0][:40]}` is too much"
        return _unreadable(words, prefix, why=why)
    return Command(verb=form.verb, target=_named(target), even_if_superseded=SUPERSEDED_OPTION in options)


def _read_noted(form: Form, words: Sequence[str], prefix: str) -> Command | Unreadable:
    """A command that names at most one stack or run, with a note behind it.

    What looks like an option before the note has begun is one, and no command with a note has any.
    """
    rest = list(words[1:])
    target = plain_word(rest.pop(0)) if rest and rest[0] != NOTE_MARK else ""
    first = plain_word(rest[0]) if rest else ""
    unknown = next((word for word in (target, first) if _OPTION.fullmatch(word)), "")
    if unknown:
        return _unreadable(words, prefix, why=_takes_no(form, unknown))
    if form.needs_target and not target:
        return _unreadable(words, prefix, why=f"{form.verb.value} needs the name of a stack")
    if target and _TARGET.fullmatch(target) is None:
        return _unreadable(words, prefix, why=_no_name(target))
    note = rest[1:] if first == NOTE_MARK else rest
    return Command(verb=form.verb, target=_named(target), note=" ".join(note)[:MAX_NOTE])


def _read_many(form: Form, words: Sequence[str], prefix: str) -> Command | Unreadable:
    """A command that names any number of stacks, and perhaps a commit."""
    sha, rest = "", [part for word in words[1:] for part in _parted(plain_word(word), form)]
    if SHA_OPTION in form.options and SHA_OPTION in rest:
        at = rest.index(SHA_OPTION)
        sha = "".join(rest[at + 1 : at + 2]).lower()
        if not is_sha(sha):
            return _unreadable(words, prefix, why=f"`{SHA_OPTION}` takes all 40 digits of a commit")
        del rest[at : at + 2]
    odd = next((word for word in rest if _TARGET.fullmatch(word) is None), "")
    if odd in form.options:
        return _unreadable(words, prefix, why=f"{form.verb.value} takes `{odd}` once")
    if odd:
        return _unreadable(words, prefix, why=_takes_no(form, odd) if odd.startswith("-") else _no_name(odd))
    if len(rest) > MAX_TARGETS:
        return _unreadable(words, prefix, why=f"{form.verb.value} takes at most {MAX_TARGETS} stacks at a time")
    return Command(verb=form.verb, targets=tuple(dict.fromkeys(map(_named, rest))), sha=sha)


def _read_choice(form: Form, rest: str, prefix: str) -> Command | Unreadable:
    """A command with a choice of changes behind its target. Addresses keep every letter: blanks in their keys too."""
    words = split_words(rest)
    if words is None:
        return _unreadable(words_of(rest), prefix, why="a double quote is opened and not closed")
    unknown = next((word for word in map(plain_word, words[1:]) if word.startswith("-")), "")
    if unknown:
        return _unreadable(words, prefix, why=_takes_no(form, unknown))
    target = plain_word(words[1]) if len(words) > 1 and lowered(words[1]) not in (ONLY, EXCEPT) else ""
    picks = words[2 if target else 1 :]
    choice = read_choice(picks)
    if target and _TARGET.fullmatch(target) is None:
        return _unreadable(words, prefix, why=_no_name(target))
    if picks and choice is None:
        why = f"behind the stack or run come {ONLY} or {EXCEPT}, and then changes, but not `{picks[0][:40]}`"
        return _unreadable(words, prefix, why=why)
    return Command(verb=form.verb, target=_named(target), choice=choice)


def _parted(word: str, form: Form) -> list[str]:
    """An option with its value behind a sign of equality as the two words that it stands for."""
    name, sign, value = word.partition("=")
    return [name, value] if sign and name in form.options else [word]


def _named(word: str) -> str:
    """A name as it is written: those of stacks have small letters alone, ids of runs capitals, whatever was typed."""
    small = lowered(word)
    return word.upper() if word != small and _RUN.fullmatch(word) else small


def _takes_no(form: Form, option: str) -> str:
    """An option that the command does not have, by its name: what it has instead, or who has it."""
    name = option.partition("=")[0][:40]
    said = f"{form.verb.value} takes no `{name}`"
    own = {one.lstrip("-"): one for one in ((ONLY, EXCEPT) if form.takes_choice else form.options)}
    near = nearest_name(name.lstrip("-"), list(own))
    if own:
        return f"{said}; what it takes is {' or '.join(f'`{own[one]}`' for one in ([near] if near else own))}"
    owner = next((other.verb.value for other in GRAMMAR if name in other.options), "")
    after = f", and a note that begins with dashes comes behind `{NOTE_MARK}`" if form.takes_note else ""
    return f"{said}; that is an option of {owner}" if owner else f"{said}; it has no options{after}"


def _no_name(word: str) -> str:
    return f"`{word[:40]}` can be neither the name of a stack nor a run"


def _unreadable(words: Sequence[str], prefix: str, *, why: str = "") -> Unreadable:
    """The line again, and the command that is nearest to it."""
    text = _shown(" ".join((prefix, *words)))
    why = why or _NOT_HERE.get(lowered(words[0]) if words else "", "")
    nearest = _nearest(words)
    meant = ""
    if nearest is not Verb.HELP and not why and lowered(words[0]) != nearest.value:
        corrected = " ".join((nearest.value, *words[1:]))
        if len(corrected) <= MAX_LINE and isinstance(_read(corrected, prefix), Command):
            meant = f"{prefix} {corrected}"
    return Unreadable(text=text, nearest=f"{prefix} {nearest.value}", meant=meant, why=why)


def _nearest(words: Sequence[str]) -> Verb:
    """The command that is most like the first word; help when none is."""
    word = lowered(words[0]) if words else ""
    if word in _MEANT:
        return _MEANT[word]
    close = difflib.get_close_matches(word[:40], [verb.value for verb in Verb], 1, 0.5)
    return Verb(close[0]) if close else Verb.HELP


def _shown(text: str) -> str:
    return text if len(text) <= MAX_LINE else text[: MAX_LINE - 1] + "…"
