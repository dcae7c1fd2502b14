"""Logging people in: the App's web flow, with a proof key. A person's token lives as long as the question who they are.

githubkit's own helpers for this flow send no proof key, so the two requests are made as all others of this room.
Source: https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
"""

import base64
from typing import Final
from urllib.parse import urlencode

import msgspec

from app.core.errors import RetryableError, UserError
from app.core.names import Secret
from app.core.visitor import Account, LoginProblem, LoginRefused, problem_of
from app.github.api import LOGIN, Api, Ask, read_answer
from app.github.config import AppConfig
from app.github.refusals import UnauthorisedError
from app.github.shapes import Login, Number, first_line

MAX_CODE: Final = 200
"""Characters of a code; GitHub's have 20."""
_NO_TOKEN: Final = Secret("")


class _TokenAnswer(msgspec.Struct, frozen=True):
    """A token, or an error: GitHub answers 200 to both."""

    access_token: str = ""
    error: str = ""


class _Person(msgspec.Struct, frozen=True):
    id: Number
    login: Login
    type: str = ""


def login_url(config: AppConfig, *, state: str, challenge: str, redirect_uri: str) -> str:
    """Where somebody tells GitHub that we may know who they are; `challenge` is the proof key's SHA-256, in base64."""
    query = {
        "client_id": config.client_id,
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return f"{config.server_url.rstrip('/')}/login/oauth/authorize?{urlencode(query)}"


def identify(api: Api, config: AppConfig, *, code: str, verifier: Secret, redirect_uri: str) -> Account | LoginRefused:
    """Who came back from GitHub with that code. Their token is revoked before this ends.

    Raises: RetryableError when GitHub does not answer: the code may be spent by then.
    """
    token = _exchange(api, config, code=code, verifier=verifier, redirect_uri=redirect_uri)
    if isinstance(token, LoginRefused):
        return token
    try:
        ask = Ask(doing="asking who logs in", method="GET", route="/user")
        person = read_answer(ask, api.send(ask, token), _Person)
    finally:
        _revoke(api, config, token)
    if person.type != "User" or person.login.endswith("[bot]"):
        return LoginRefused(problem=LoginProblem.MACHINE)
    return Account(id=person.id, login=person.login)


def _exchange(api: Api, config: AppConfig, *, code: str, verifier: Secret, redirect_uri: str) -> Secret | LoginRefused:
    if not 0 < len(code) <= MAX_CODE:
        return LoginRefused(problem=LoginProblem.CODE)
    ask = Ask(
        doing="exchanging the code of a login",
        method="POST",
        route=LOGIN,
        body={
            "client_id": config.client_id,
            "client_secret": config.client_secret.reveal(),
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier.reveal(),
        },
    )
    try:
        answer = read_answer(ask, api.send(ask, _NO_TOKEN), _TokenAnswer)
    except (UserError, UnauthorisedError) as error:  # an App that GitHub does not know, by its client id, is a 404
        return LoginRefused(problem=LoginProblem.SECRET, said=str(error)[:300])
    if not answer.access_token:
        return LoginRefused(problem=problem_of(answer.error), said=first_line(answer.error))
    return Secret(answer.access_token)


def takes_secret(api: Api, config: AppConfig) -> bool:
    """Whether GitHub takes the App's client id and secret, asked about a token that nobody has.

    Source: https://docs.github.com/rest/apps/oauth-applications#check-a-token
    """
    ask = Ask(
        doing="asking GitHub whether it takes the client secret",
        method="POST",
        route="/applications/{client_id}/token",
        values={"client_id": config.client_id},
        body={"access_token": "ghu_nobodys"},
        scheme="Basic",
        is_question=True,
    )
    try:
        api.send(ask, _client(config))
    except UnauthorisedError:
        return False
    except UserError:  # no such token, as it should be
        return True
    return True


def _client(config: AppConfig) -> Secret:
    """The App's client id and secret, as Basic authentication shows them."""
    both = f"{config.client_id}:{config.client_secret.reveal()}"
    return Secret(base64.b64encode(both.encode()).decode())


def _revoke(api: Api, config: AppConfig, token: Secret) -> None:
    """End the token. Where GitHub does not take that, its own end has to do: it is kept nowhere."""
    ask = Ask(
        doing="revoking the token of a login",
        method="DELETE",
        route="/applications/{client_id}/token",
        values={"client_id": config.client_id},
        body={"access_token": token.reveal()},
        scheme="Basic",
    )
    try:
        api.send(ask, _client(config))
    except (RetryableError, UserError):
        return
