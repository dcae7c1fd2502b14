"""Where messages may go, in the operator's hands: endpoints are set up, listed, removed and switched on again.

Each is one transaction, with its line in the audit log. The secret that signs is sealed at rest, and never shown.
"""

from dataclasses import dataclass, replace

from app.core import words_notice as words
from app.core.errors import UserError
from app.core.names import Secret
from app.core.notice import (
    MAX_ACCOUNTS,
    MAX_LABELS,
    MIN_SIGNING_CHARS,
    Endpoint,
    is_account,
    is_endpoint_name,
    is_fit_address,
    is_label,
    is_slack_name,
    shown_url,
)
from app.core.record import AuditLine
from app.flows.ports import Store, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """The use cases of `trackside webhook`."""

    store: Store
    allowed: tuple[str, ...]
    """ALLOWED_ACCOUNTS, in lower case; empty: the App's owner alone."""

    def add(self, endpoint: Endpoint, actor: str) -> str:
        """Set an endpoint up, or replace it; what to say. Raises: UserError for what cannot be one."""
        _check(endpoint)
        endpoint = self._owned(endpoint)
        with self.store.begin() as tx:
            before = tx.lock_endpoints([endpoint.name], []).get(endpoint.name)
            was_there = tx.save_endpoint(endpoint)
            if before is not None and before.accounts != endpoint.accounts:
                tx.drop_messages(endpoint.name, words.GIVEN_AWAY)
            whose = f" for {', '.join(endpoint.accounts)}" if endpoint.accounts else ""
            self._audit(tx, f"webhook add {endpoint.name} {shown_url(endpoint.url)}{whose}", actor)
        return words.added(endpoint, was_there=was_there)

    def _owned(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint of the accounts that were named, else of the only one. Raises: UserError."""
        doing = f"setting up endpoint {endpoint.name[:100]!r}"
        named = {account.lower() for account in endpoint.accounts}
        for account in sorted(named):
            if not is_account(account) or (self.allowed and account not in self.allowed):
                raise UserError(words.not_allowed(doing, account))
        if len(named) > MAX_ACCOUNTS:
            raise UserError(f"{doing}: at most {MAX_ACCOUNTS} accounts")
        if not named and len(self.allowed) > 1:
            raise UserError(words.whose_is_it(doing, self.allowed))
        return replace(endpoint, accounts=tuple(sorted(named)) or self.allowed)

    def listed(self) -> list[Endpoint]:
        """Every endpoint, by name."""
        with self.store.begin() as tx:
            return tx.list_endpoints()

    def remove(self, name: str, actor: str) -> str:
        """Forget an endpoint; what to say. Raises: UserError when there is none."""
        with self.store.begin() as tx:
            if not tx.remove_endpoint(name, words.REMOVED):
                raise UserError(words.unknown_endpoint("removing", name))
            self._audit(tx, f"webhook remove {name}", actor)
        return words.removed(name)

    def enable(self, name: str, actor: str) -> str:
        """Switch an endpoint on again, its failures forgotten; what to say. Raises: UserError when there is none."""
        with self.store.begin() as tx:
            found = tx.lock_endpoints([name], []).get(name)
            if found is None:
                raise UserError(words.unknown_endpoint("switching on", name))
            tx.turn_endpoint(name, is_on=True)
            self._audit(tx, f"webhook enable {name}", actor)
        return words.enabled(name, was_on=found.is_on)

    def _audit(self, tx: Transaction, command: str, actor: str) -> None:
        tx.add_audit(
            AuditLine(
                at=tx.now(),
                actor=actor,
                source="cli",
                command=command,
                run_id=None,
                repository_id=None,
                is_allowed=True,
                reason="",
            )
        )


def _check(endpoint: Endpoint) -> None:
    doing = f"setting up endpoint {endpoint.name[:100]!r}"
    if is_slack_name(endpoint.name):
        raise UserError(f"{doing}: the name is Slack's own; its address is SLACK_WEBHOOK_URL")
    if not is_endpoint_name(endpoint.name):
        raise UserError(f"{doing}: a name is 1 to 63 lower-case letters, digits, `-` and `_`")
    if len(endpoint.labels) > MAX_LABELS or not all(is_label(label) for label in endpoint.labels):
        raise UserError(f"{doing}: at most {MAX_LABELS} labels, each of 1 to 100 visible characters without commas")
    if not is_fit_address(endpoint.url.reveal()):
        raise UserError(f"{doing}: its address must be https, or http on this machine, without user name and fragment")
    _check_signing(doing, endpoint.signing)


def _check_signing(doing: str, signing: Secret) -> None:
    if len(signing.reveal()) < MIN_SIGNING_CHARS:
        raise UserError(
            f"{doing}: its secret is shorter than {MIN_SIGNING_CHARS} characters; make one with `openssl rand -hex 32`"
        )
