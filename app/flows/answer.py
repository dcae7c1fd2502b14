"""Who gives a command, and how each command ends: carried out, or refused, in words either way."""

from dataclasses import dataclass

from app.core.stack import Permission


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who gives a command, by which door, with what GitHub says of them at this moment."""

    actor: str
    source: str
    """`button`, `page`, `comment`, `tick`, `cli`."""
    permission: Permission
    repository: str
    """`owner/name`, for words."""
    role: str = ""
    """GitHub's `role_name`; empty on the server."""
    is_bot: bool = False
    """A machine, which gives no commands."""

    @property
    def may_write(self) -> bool:
        """True for whoever may write to the repository; anybody else is answered last."""
        return self.permission.rank >= Permission.WRITE.rank

    @property
    def is_operator(self) -> bool:
        """True on the server: whoever is there has the keys already, and is asked for no role and no team."""
        return self.source == "cli"


@dataclass(frozen=True, slots=True)
class Done:
    """Carried out; what to say when words are called for."""

    text: str
    spent: str = ""
    """Key of the archive that nobody needs any more; deleted once the transaction is committed."""
    is_answer: bool = False
    """The words are what was asked for: said on a pull request too, where a reaction would do otherwise."""


@dataclass(frozen=True, slots=True)
class Not:
    """Refused, and why."""

    text: str
