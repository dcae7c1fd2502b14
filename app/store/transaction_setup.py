"""The set-up in the browser inside a transaction: how far it is, and the App's credentials, sealed."""

import json
from typing import Any, Final

from sqlalchemy import Row, delete, select
from sqlalchemy.dialects.postgresql import insert

from app.core.errors import BrokenError
from app.core.names import Secret
from app.core.setup import AppCredentials, SettingUp
from app.store.schema import app_credentials, app_setups
from app.store.wire import Wire, safe_text, sealed_as

_ROW: Final = 1
_SECRETS: Final = ("client_secret", "webhook_secret", "private_key")


class SetupWrites(Wire):
    """Transaction methods about the set-up."""

    def lock_setup(self) -> SettingUp | None:
        """The set-up that is under way, kept for this transaction; None: none has begun."""
        row = self._first(select(app_setups).with_for_update())
        if row is None:
            return None
        return SettingUp(
            code_hash=row.code_hash,
            code_expires_at=row.code_expires_at,
            wrong=row.wrong,
            paused_until=row.paused_until,
            session_hash=row.session_hash,
            session_expires_at=row.session_expires_at,
            state_hash=row.state_hash,
        )

    def save_setup(self, setting_up: SettingUp) -> None:
        """Keep how far it is; what was before is void."""
        values = {
            "code_hash": setting_up.code_hash,
            "code_expires_at": setting_up.code_expires_at,
            "wrong": setting_up.wrong,
            "paused_until": setting_up.paused_until,
            "session_hash": setting_up.session_hash,
            "session_expires_at": setting_up.session_expires_at,
            "state_hash": setting_up.state_hash,
        }
        statement = insert(app_setups).values(id=_ROW, **values)
        self._execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))

    def end_setup(self) -> None:
        """Nothing is under way any more."""
        self._execute(delete(app_setups))

    def add_app(self, app: AppCredentials) -> bool:
        """Keep the App's credentials, the secrets sealed; False when there is an App already, which stays."""
        secrets = {name: getattr(app, name).reveal() for name in _SECRETS}
        sealed = self._sealer.seal(json.dumps(secrets).encode(), _context(app.app_id))
        statement = insert(app_credentials).values(
            id=_ROW,
            app_id=app.app_id,
            slug=safe_text(app.slug),
            owner=safe_text(app.owner),
            client_id=safe_text(app.client_id),
            html_url=safe_text(app.html_url),
            server_url=safe_text(app.server_url),
            sealed_secrets=sealed,
        )
        kept = statement.on_conflict_do_nothing().returning(app_credentials.c.id)
        return self._scalar(kept) is not None

    def find_app(self) -> AppCredentials | None:
        """The App that set-up stored, or None. Raises: BrokenError when other keys sealed it."""
        row = self._first(select(app_credentials))
        return self._app(row) if row is not None else None

    def find_app_slug(self) -> str | None:
        """The slug of the App that set-up stored, without opening what is sealed; or None."""
        slug = self._scalar(select(app_credentials.c.slug))
        return str(slug) if slug is not None else None

    def forget_app(self) -> str | None:
        """Delete the App's credentials, secrets and all; its slug, or None when there are none."""
        slug = self._scalar(delete(app_credentials).returning(app_credentials.c.slug))
        return str(slug) if slug is not None else None

    def _app(self, row: Row[Any]) -> AppCredentials:
        opened = json.loads(self._sealer.open(bytes(row.sealed_secrets), _context(row.app_id)))
        if not isinstance(opened, dict) or set(opened) != set(_SECRETS):
            raise BrokenError("reading the App's credentials: they are not what set-up stores")
        return AppCredentials(
            app_id=row.app_id,
            slug=row.slug,
            owner=row.owner,
            client_id=row.client_id,
            html_url=row.html_url,
            server_url=row.server_url,
            client_secret=Secret(opened["client_secret"]),
            webhook_secret=Secret(opened["webhook_secret"]),
            private_key=Secret(opened["private_key"]),
        )


def _context(app_id: int) -> dict[str, str]:
    return sealed_as("app_credentials.secrets", str(app_id))
