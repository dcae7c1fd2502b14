"""What the pages call for people who log in, as Protocols, and `People`, which wiring fills. See `doors` for rules."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from app.core.command import Command
from app.core.event import Repository
from app.core.names import RepositoryId, RunId, StackId
from app.core.stack import Permission
from app.core.visitor import LoginRefused, Message, Visitor
from app.flows.act import Pressed
from app.flows.answer import Done, Not
from app.flows.login import Begun, CameBack, LoggedIn


class Known(Protocol):
    """What is known of a person's permissions."""

    @property
    def permissions(self) -> Mapping[RepositoryId, Permission]: ...
    @property
    def not_asked(self) -> int:
        """Repositories of which GitHub has not been asked yet, or did not answer."""
        ...


class VisitsDoor(Protocol):
    """Sessions, and what their people may read."""

    def find(self, token: str, /) -> Visitor | None: ...

    def end(self, token: str, /) -> None: ...

    def leave(self, visitor: Visitor, message: Message, /) -> None:
        """Have a message shown once, on its page."""
        ...

    def take(self, visitor: Visitor, path: str, /) -> Message | None: ...

    def permission(self, visitor: Visitor, repository: Repository, /) -> Permission: ...

    def permissions(self, visitor: Visitor, repositories: Iterable[Repository], /) -> Known: ...


class LoginDoor(Protocol):
    """Logging in with GitHub."""

    def begin(self, back: str, /) -> Begun: ...

    def complete(self, came: CameBack, /) -> LoggedIn | LoginRefused: ...


class ActDoor(Protocol):
    """Commands of people who have logged in. None: there is no such thing for them."""

    def on_run(self, visitor: Visitor, run_id: RunId, pressed: Pressed, /, *, reads_all: bool) -> Done | Not | None: ...

    def on_stack(
        self, visitor: Visitor, stack_id: StackId, command: Command, /, *, reads_all: bool
    ) -> Done | Not | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """All that the pages need for people who log in."""

    visits: VisitsDoor
    login: LoginDoor
    act: ActDoor
