"""Sessions, and what somebody may read: kept in the database, so that every web process knows the same.

A browser holds a random id, the row its SHA-256. GitHub is asked for a person's permission on a repository, outside of
any transaction, and believed for SEEN_FOR; who GitHub will not tell anything of reads nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from app.core.errors import BrokenError, RetryableError, UserError
from app.core.event import Repository
from app.core.names import InstallationId, RepositoryId, Secret
from app.core.permit import Access
from app.core.stack import Permission
from app.core.visitor import Account, Message, Session, Visitor
from app.flows.ports import GitHub, Sealer, Store, Transaction

MAX_ASKED: Final = 30
"""Repositories that GitHub is asked about for one page; of the others it is asked at the next."""
MAX_UNANSWERED: Final = 2
"""Accounts that GitHub does not answer for before no more are asked about: each costs a page seconds."""
MAX_TOKEN: Final = 100
"""Characters of what a browser shows as its session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a person's permissions."""

    permissions: Mapping[RepositoryId, Permission]
    not_asked: int = 0
    """Repositories of which GitHub has not been asked yet, or did not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits:
    """The use cases."""

    store: Store
    github: GitHub
    sealer: Sealer

    def begin(self, account: Account) -> Secret:
        """A new session; what the browser shows from now on."""
        token = self.sealer.new_token()
        key = self.sealer.hash_token(token.reveal())
        session = Session(account=account, csrf=self.sealer.new_token().reveal())
        with self.store.begin() as tx:
            tx.add_session(key, self._sealed(key, session))
        return token

    def find(self, token: str) -> Visitor | None:
        """Whose session that is, or None when it is nobody's, or over."""
        if not 0 < len(token) <= MAX_TOKEN:
            return None
        key = self.sealer.hash_token(token)
        with self.store.begin() as tx:
            return self._find(tx, key)

    def end(self, token: str) -> None:
        """End the session, if it is one."""
        if 0 < len(token) <= MAX_TOKEN:
            with self.store.begin() as tx:
                tx.delete_session(self.sealer.hash_token(token))

    def leave(self, visitor: Visitor, message: Message) -> None:
        """Have a message shown on the page that it is for."""
        self._change(visitor, lambda session: replace(session, message=message))

    def take(self, visitor: Visitor, path: str) -> Message | None:
        """The message for that page, which is shown no more after that; or None."""
        message = visitor.session.message
        if message is None or message.path != path:
            return None
        self._change(visitor, lambda session: replace(session, message=None))
        return message

    def permission(self, visitor: Visitor, repository: Repository) -> Permission:
        """What the person may do there, by what GitHub said within SEEN_FOR. Raises: RetryableError."""
        with self.store.begin() as tx:
            known = visitor.session.find_seen(repository.id, tx.now())
        if known is not None:
            return known
        return self.ask(visitor, repository).permission

    def ask(self, visitor: Visitor, repository: Repository) -> Access:
        """What the person may do there, asked from GitHub now, and remembered. Raises: RetryableError."""
        access = self._ask(visitor, repository)
        self._remember(visitor, {repository.id: access.permission})
        return access

    def permissions(self, visitor: Visitor, repositories: Iterable[Repository]) -> Known:
        """What the person may do in each of these, by what GitHub said within SEEN_FOR; a few are asked about now."""
        with self.store.begin() as tx:
            now = tx.now()
        known: dict[RepositoryId, Permission] = {}
        unknown: list[Repository] = []
        for repository in {one.id: one for one in repositories}.values():
            seen = visitor.session.find_seen(repository.id, now)
            if seen is not None:
                known[repository.id] = seen
            else:
                unknown.append(repository)
        news = self._ask_each(visitor, unknown[:MAX_ASKED])
        self._remember(visitor, news)
        return Known(permissions={**known, **news}, not_asked=len(unknown) - len(news))

    def _ask_each(self, visitor: Visitor, repositories: Iterable[Repository]) -> dict[RepositoryId, Permission]:
        """GitHub's answers, as far as it gives any: at one account's limit, or in its bad hour, the rest of the page is
        shown, and soon."""
        news: dict[RepositoryId, Permission] = {}
        unanswered = set[InstallationId]()
        for repository in repositories:
            if len(unanswered) >= MAX_UNANSWERED:
                break
            if repository.installation_id in unanswered:
                continue
            try:
                news[repository.id] = self._ask(visitor, repository).permission
            except RetryableError:
                unanswered.add(repository.installation_id)
        return news

    def _ask(self, visitor: Visitor, repository: Repository) -> Access:
        """GitHub's answer about the very account that logged in: its login may be another's by now."""
        account = visitor.session.account
        try:
            access = self.github.ask_access(repository, account.login)
        except UserError:  # the App may not ask there (any more): nobody is shown anything
            return Access(permission=Permission.NONE)
        is_same = access.permission is Permission.NONE or access.account_id == account.id
        return access if is_same else Access(permission=Permission.NONE)

    def _remember(self, visitor: Visitor, news: Mapping[RepositoryId, Permission]) -> None:
        if news:
            with self.store.begin() as tx:
                now = tx.now()
            self._change(visitor, lambda session: session.with_seen(news, now))

    def _change(self, visitor: Visitor, change: Callable[[Session], Session]) -> None:
        """Change what is remembered, as it is by now; nothing, when the session has ended meanwhile."""
        with self.store.begin() as tx:
            found = self._find(tx, visitor.key, for_change=True)
            if found is not None:
                tx.save_session(visitor.key, self._sealed(visitor.key, change(found.session)))

    def _find(self, tx: Transaction, key: str, *, for_change: bool = False) -> Visitor | None:
        """Whose session it is; None also for one that cannot be read, by its keys or its form."""
        sealed = tx.find_session(key, for_change=for_change)
        if sealed is None:
            return None
        try:
            data = self.sealer.open(sealed, _context(key))
            return Visitor(key=key, session=msgspec.json.decode(data, type=Session))
        except (BrokenError, msgspec.DecodeError):  # they log in again: else no page answered that browser
            return None

    def _sealed(self, key: str, session: Session) -> bytes:
        return self.sealer.seal(msgspec.json.encode(session), _context(key))


def _context(key: str) -> dict[str, str]:
    return {"column": "sessions.sealed", "id": key}
