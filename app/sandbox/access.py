"""Who is asking, and may they: App JWTs, installation tokens, people's tokens; narrowing, expiry, permissions.

Source: https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app
"""

import base64
import binascii
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import jwt

from app.sandbox import permits
from app.sandbox.errors import ApiError, not_found, unprocessable
from app.sandbox.records import Installation, Repository, Token, User
from app.sandbox.world import World

TOKEN_LIFE: Final = timedelta(hours=1)
LONGEST_JWT_S: Final = 600
SKEW_S: Final = 60
MOST_REPOSITORIES: Final = 500


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request."""

    kind: str
    """app, client (the App, by its client id and secret), installation, user or none."""
    user: User | None = None
    token: Token | None = None

    @property
    def rate_key(self) -> str:
        """Whose hourly budget pays."""
        if self.token is not None:
            return f"installation-{self.token.installation.id}"
        return f"user-{self.user.login}" if self.kind == "user" and self.user else self.kind

    @property
    def actor(self) -> User:
        """The account that acts. Raises: ApiError 401 for nobody."""
        if self.user is None:
            raise ApiError(401, "Requires authentication")
        return self.user


def credentials(header: str) -> str:
    """The token in an Authorization header: bearer, token, or the password of Basic."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return rest.strip() if scheme.lower() in {"bearer", "token"} else ""


def identify(world: World, header: str | None) -> Caller:
    """Who sent this header. Raises: ApiError 401 for anything that is not valid now."""
    if header is None:
        return Caller("none")
    value = credentials(header)
    if value.count(".") == 2 and value.startswith("eyJ"):
        return _check_jwt(world, value)
    if _is_client(world, header):
        return Caller("client")
    person_token = world.user_tokens.get(value)
    if person_token is not None:
        if person_token.expires_at <= world.now():
            raise ApiError(401, "Bad credentials")
        return Caller("user", person_token.user)
    token = world.tokens.get(value)
    if token is not None:
        if token.expires_at <= world.now() or token.installation.id not in world.installations:
            raise ApiError(401, "Bad credentials")
        if token.installation.suspended_at is not None:
            raise ApiError(403, "This installation has been suspended")
        return Caller("installation", world.app.bot, token)
    person = world.user_by_token(value)
    if person is None:
        raise ApiError(401, "Bad credentials")
    return Caller("user", person)


def _is_client(world: World, header: str) -> bool:
    """True for Basic authentication with the App's client id and secret."""
    both = f"{world.app.client_id}:{world.app.client_secret}"
    return header == f"Basic {base64.b64encode(both.encode()).decode()}"


def _check_jwt(world: World, value: str) -> Caller:
    app, now = world.app, world.now().timestamp()
    try:
        claims = jwt.decode(
            value,
            app.public_key,
            algorithms=["RS256"],
            options={"verify_exp": False, "verify_iat": False, "verify_iss": False},
        )
    except jwt.InvalidTokenError as error:
        raise ApiError(401, "A JSON web token could not be decoded") from error
    issued, expires = claims.get("iat"), claims.get("exp")
    if str(claims.get("iss")) not in {str(app.id), app.client_id}:
        raise ApiError(401, "Integration not found")
    if not isinstance(issued, int) or issued > now + SKEW_S:
        raise ApiError(
            401, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
        )
    if not isinstance(expires, int) or expires <= now - SKEW_S:
        raise ApiError(
            401,
            "'Expiration time' claim ('exp') must be a numeric value representing the future time "
            "at which the assertion expires",
        )
    if expires > now + LONGEST_JWT_S + SKEW_S or expires - issued > LONGEST_JWT_S + SKEW_S:
        raise ApiError(401, "'Expiration time' claim ('exp') is too far in the future")
    return Caller("app", app.bot)


def may_see(world: World, caller: Caller, repo: Repository) -> bool:
    """True when the caller may know that the repository exists."""
    return not repo.private or _in_reach(world, caller, repo)


def _in_reach(world: World, caller: Caller, repo: Repository) -> bool:
    if caller.token is not None:
        chosen = caller.token.repository_ids
        return world.covers(caller.token.installation, repo) and (chosen is None or repo.id in chosen)
    return caller.kind == "user" and world.role(repo, caller.actor.login) != "none"


def require(world: World, caller: Caller, repo: Repository, needs: Sequence[str], *, method: str) -> None:
    """Let through a caller who has one of `needs` (`checks:write`) on the repository.

    Raises: ApiError 404 for a repository that they may not know of, 403 for a permission that they lack.
    """
    if not may_see(world, caller, repo):
        raise not_found()
    if repo.archived and method != "GET":
        raise ApiError(403, "Repository was archived so is read-only.")
    if caller.token is not None:
        held = caller.token.permissions if _in_reach(world, caller, repo) else _of_strangers(method)
        allowed = any(permits.reaches(held.get(name), level) for name, _, level in _split(needs))
        message = "Resource not accessible by integration"
    else:
        role = world.role(repo, caller.user.login) if caller.kind == "user" and caller.user else "read"
        only_apps = any(name == "checks" and level == "write" for name, _, level in _split(needs))
        allowed = permits.reaches(permits.FOLDED[role], _level_for_people(needs)) and not only_apps
        message = "You must authenticate via a GitHub App." if only_apps else "Must have write access to Repository."
        if caller.kind == "none" and method != "GET":
            raise ApiError(401, "Requires authentication")
    if not allowed:
        raise ApiError(403, message)


def _split(needs: Sequence[str]) -> list[tuple[str, str, str]]:
    return [need.partition(":") for need in needs]


def _of_strangers(method: str) -> Mapping[str, str]:
    """On a public repository outside the installation a token reads what everybody reads."""
    return dict.fromkeys(permits.DEFAULT_PERMISSIONS, "read") if method == "GET" else {}


def _level_for_people(needs: Sequence[str]) -> str:
    """Talking takes read access, everything else the level that it names."""
    talk = {"issues", "pull_requests"}
    return "read" if all(name in talk for name, _, _ in _split(needs)) else _split(needs)[0][2]


def mint(world: World, installation: Installation, fields: Mapping[str, Any]) -> Token:
    """A new installation token, as narrow as asked. Raises: ApiError 422 for more than the installation has."""
    permissions = _narrowed(installation, fields.get("permissions"))
    chosen = _chosen(world, installation, fields)
    value = f"ghs_{secrets.token_urlsafe(27)}"
    token = Token(value, installation, permissions, chosen, world.now() + TOKEN_LIFE)
    world.tokens[value] = token
    return token


def _narrowed(installation: Installation, wanted: Any) -> dict[str, str]:
    if wanted is None:
        return dict(installation.permissions)
    if not isinstance(wanted, dict) or not all(level in {"read", "write", "admin"} for level in wanted.values()):
        raise unprocessable('"permissions" is not an object of read, write or admin.')
    if not all(permits.reaches(installation.permissions.get(name), level) for name, level in wanted.items()):
        raise ApiError(422, "The permissions requested are not granted to this installation.")
    return wanted | ({"metadata": "read"} if "metadata" in installation.permissions else {})


def _chosen(world: World, installation: Installation, fields: Mapping[str, Any]) -> set[int] | None:
    names, numbers = fields.get("repositories"), fields.get("repository_ids")
    if names is None and numbers is None:
        return None
    if not isinstance(names or [], list) or not isinstance(numbers or [], list):
        raise unprocessable('"repositories" and "repository_ids" are arrays.')
    if len(names or []) + len(numbers or []) > MOST_REPOSITORIES:
        raise ApiError(422, f"No more than {MOST_REPOSITORIES} repositories can be asked for.")
    held = world.installed_repositories(installation)
    by_name, by_number = {repo.name.lower(): repo.id for repo in held}, {repo.id for repo in held}
    wanted = [by_name.get(str(name).lower()) for name in names or []] + list(numbers or [])
    if not all(number in by_number for number in wanted):
        raise ApiError(
            422, "There is at least one repository that does not exist or is not accessible to the parent installation."
        )
    return {number for number in wanted if number is not None}
