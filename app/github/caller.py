"""Who asks: the App itself, or its installation on a repository's account, with a second try after a refused token."""

import httpx

from app.core.event import Repository
from app.core.names import InstallationId, Secret
from app.github.api import Api, Ask
from app.github.limits import Limits
from app.github.refusals import LimitedError, NotAccessibleError, UnauthorisedError
from app.github.tokens import AppKey, Tokens


class Caller:
    """Puts the right credentials on a request. `app_id` is how its works are known again."""

    def __init__(self, api: Api, key: AppKey, tokens: Tokens, limits: Limits, *, app_id: int) -> None:
        self._api, self._key, self._tokens, self._limits = api, key, tokens, limits
        self.app_id = app_id

    def as_app(self, ask: Ask) -> httpx.Response:
        """The answer to the App itself. Raises: as Api.send."""
        return self._api.send(ask, self._key.sign())

    def as_installation(self, repository: Repository, ask: Ask) -> httpx.Response:
        """The answer to the installation on that repository. A 401 means that nothing was done: tried once more, with a
        new token. After a missing permission the token is dropped too, since a grant only reaches new ones.
        """
        try:
            return self._with_token(repository, ask)
        except UnauthorisedError:
            return self._with_token(repository, ask)

    def as_owner(self, installation_id: InstallationId, ask: Ask) -> httpx.Response:
        """The answer to an installation about all that it has. Raises: as Api.send."""
        try:
            answer = self._api.send(ask, self._tokens.get(installation_id))
        except LimitedError as error:
            self._limits.note_refusal(installation_id, error)
            raise
        self._limits.note_answer(installation_id, answer.headers)
        return answer

    def _with_token(self, repository: Repository, ask: Ask) -> httpx.Response:
        try:
            token = self._tokens.get(repository.installation_id)
            answer = self._send(repository, ask, token)
        except LimitedError as error:
            self._limits.note_refusal(repository.installation_id, error)
            raise
        self._limits.note_answer(repository.installation_id, answer.headers)
        return answer

    def _send(self, repository: Repository, ask: Ask, token: Secret) -> httpx.Response:
        try:
            return self._api.send(ask, token)
        except (UnauthorisedError, NotAccessibleError):
            self._tokens.drop(repository.installation_id, token)
            raise
