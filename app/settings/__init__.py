"""Every variable that a process reads, with its unit, default and example: read once, by wiring, handed on as values.

Two models, so that a worker never needs what the control plane knows. Problems come as one UserError that lists all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ValidationError, model_validator
from pydantic_core import ErrorDetails

from app.core.errors import UserError
from app.core.host import is_loopback
from app.core.names import Secret
from app.core.words_setup import ALL_OR_NONE
from app.settings.base import NONE, Environment, variable
from app.settings.looks import Looks
from app.settings.storage import Storage
from app.settings.values import (
    as_accounts,
    as_database,
    as_encrypted,
    as_long_secret,
    as_opa,
    as_origin,
    as_pem,
    as_secret,
    as_slack,
    as_tokens,
)
from app.settings.worker import WorkerSettings

MAX_KEY_FILE_BYTES: Final = 64 * 1024

Encrypted = Annotated[str, BeforeValidator(as_encrypted)]
"""Where tokens are sent to."""


PagesAccess = Literal["login", "loopback", "open"]
"""Who reads the pages."""
APP_VARIABLES: Final = (
    "GITHUB_APP_ID",
    "GITHUB_PRIVATE_KEY",
    "GITHUB_PRIVATE_KEY_FILE",
    "GITHUB_WEBHOOK_SECRET",
    "GITHUB_CLIENT_ID",
    "GITHUB_CLIENT_SECRET",
)
"""What an App is made of. The environment has all that it needs, or set-up in the browser stores it."""
SET_UP: Final = "as set-up in the browser stored it"


class AppSettings(Environment):
    """The part of the control plane's settings that is the GitHub App."""

    github_app_id: int = variable(
        "The App's number, on its settings page.", example="123456", gt=0, le=2**53, default_is=SET_UP
    )
    github_private_key: Annotated[Secret, BeforeValidator(as_pem)] = variable(
        "The App's private key, as PEM; line breaks may be written as \\n.",
        example="-----BEGIN RSA PRIVATE KEY-----\\n...",
        default_is=SET_UP,
    )
    github_private_key_file: Path | None = variable(
        "A file that holds the App's private key, instead of GITHUB_PRIVATE_KEY.",
        example="/run/secrets/app.pem",
        default=None,
    )
    github_webhook_secret: Annotated[Secret, BeforeValidator(as_long_secret)] = variable(
        "The App's webhook secret, at least 16 characters.", example="(openssl rand -hex 32)", default_is=SET_UP
    )
    github_webhook_secret_previous: Annotated[Secret, BeforeValidator(as_long_secret)] = variable(
        "The webhook secret before, while it is being replaced: both are accepted.",
        example="(openssl rand -hex 32)",
        default=NONE,
    )
    github_client_id: str = variable(
        "The App's client id, on its settings page; with GITHUB_CLIENT_SECRET people log in to the pages with GitHub.",
        example="Iv23liAbCdEfGhIjKlMn",
        default="",
        default_is=f"{SET_UP}; else nobody logs in",
        pattern=r"^[A-Za-z0-9._-]{0,100}$",
    )
    github_client_secret: Annotated[Secret, BeforeValidator(as_long_secret)] = variable(
        "A client secret of the App, at least 16 characters.",
        example="(generated on the App's settings page)",
        default=NONE,
        default_is=f"{SET_UP}; else nobody logs in",
    )


class Ground(Storage, Looks):
    """What the control plane reads but for the App: all that there is before set-up in the browser."""

    github_api_url: Encrypted = variable(
        "GitHub's REST API: https, or http on this machine.",
        example="https://github.example.org/api/v3",
        default="https://api.github.com",
    )
    github_server_url: Encrypted = variable(
        "GitHub's pages and repositories: https, or http on this machine.",
        example="https://github.example.org",
        default="https://github.com",
    )
    github_api_version: str = variable(
        "Version of the REST API that is asked for.",
        example="2022-11-28",
        default="2022-11-28",
        pattern=r"^\d{4}-\d\d-\d\d$",
    )
    allowed_accounts: Annotated[tuple[str, ...], BeforeValidator(as_accounts)] = variable(
        "Logins of the organisations and users that are served, with commas between.",
        example="acme,acme-labs",
        default=(),
        default_is="the App's owner",
    )
    public_url: Annotated[str, BeforeValidator(as_origin)] = variable(
        "Where people, GitHub and workers reach this installation.",
        example="https://trackside.example.org",
        default="",
        default_is="http://localhost:PORT",
    )
    host: str = variable(
        "Address that the web process listens on; 0.0.0.0 for every interface.",
        example="10.0.0.5",
        default="127.0.0.1",
        pattern=r"^[0-9A-Za-z:.-]{1,253}$",
    )
    port: int = variable("TCP port of the web process.", example="8080", default=8000, ge=1, le=65535)
    database_url: Annotated[Secret, BeforeValidator(as_database)] = variable(
        "PostgreSQL 15 or newer, direct or session-pooled.",
        example="postgresql://trackside:password@db:5432/trackside",
        default=NONE,
        default_is="embedded, under DATA_DIR",
    )
    database_pool_size: int = variable(
        "Connections that one process keeps.", unit="connections", example="20", default=10, ge=2, le=200
    )
    worker_tokens: Annotated[dict[str, tuple[Secret, ...]], BeforeValidator(as_tokens)] = variable(
        "pool=token with commas between; at most two live tokens for a pool, so that one can be replaced.",
        example="default=(openssl rand -hex 32)",
        default={},
        default_is="none; `serve` makes one for its own worker",
    )
    lease_s: float = variable(
        "How long a worker may be silent before its run is given to another.",
        unit="seconds",
        example="60",
        default=20,
        ge=5,
        le=600,
    )
    heartbeat_s: float = variable(
        "How often a worker says that it is there; at most half of LEASE_S.",
        unit="seconds",
        example="5",
        default=0,
        default_is="0: a third of LEASE_S",
        ge=0,
        le=300,
    )
    comment_every_s: float = variable(
        "How long the App's comment on a pull request is left alone after an edit; what happens meanwhile is one edit.",
        unit="seconds",
        example="30",
        default=5,
        ge=0,
        le=300,
    )
    progress_after_s: float = variable(
        "How long a check run that tells of work is left alone before it tells more; after that, twice as long.",
        unit="seconds",
        example="60",
        default=15,
        ge=1,
        le=300,
    )
    sweep_every_s: float = variable(
        "How often lost assignments and stalled jobs are looked for.",
        unit="seconds",
        example="30",
        default=5,
        ge=1,
        le=300,
    )
    opa_url: Annotated[str, BeforeValidator(as_opa)] = variable(
        "An OPA that runs the policies instead of the embedded one: http(s)://host:port or unix:///path.",
        example="unix:///run/opa.sock",
        default="",
        default_is="embedded",
    )
    opa_token: Annotated[Secret, BeforeValidator(as_secret)] = variable(
        "Bearer token for OPA_URL.", example="(openssl rand -hex 32)", default=NONE, default_is="none"
    )
    external_token: Annotated[Secret, BeforeValidator(as_long_secret)] = variable(
        "Bearer token with which CI marks external dependencies, at least 16 characters.",
        example="(openssl rand -hex 32)",
        default=NONE,
        default_is="the address is closed",
    )
    decisions_kept_days: int = variable(
        "How long the records of decisions are kept.", unit="days", example="90", default=30, ge=1, le=3650
    )
    plans_kept_days: int = variable(
        "How long a plan waits for a person's decision before it is discarded; its check says so a day before.",
        unit="days",
        example="3",
        default=7,
        ge=1,
        le=365,
    )
    command_prefix: str = variable(
        "How a command in a comment begins.",
        example="/infra",
        default="/trackside",
        pattern=r"^/[a-z0-9][a-z0-9_-]{0,30}$",
    )
    pages_access: PagesAccess = variable(
        "Who reads the pages: `login`, whoever logs in with GitHub and may read the repository there; `loopback`, a "
        "browser on this machine while PUBLIC_URL is on it too; `open`, everyone who reaches the web process, so put a "
        "login in front. Who acts there has logged in, whatever this says.",
        example="login",
        default="loopback",
        default_is="`login` when GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET are set and PUBLIC_URL is not on this "
        "machine; else `loopback`",
    )
    metrics_token: Annotated[Secret, BeforeValidator(as_long_secret)] = variable(
        "Bearer token for /metrics, at least 16 characters.",
        example="(openssl rand -hex 32)",
        default=NONE,
        default_is="loopback only",
    )

    slack_webhook_url: Annotated[dict[str, Secret], BeforeValidator(as_slack)] = variable(
        "Slack's incoming webhook that notification policies write to; several with commas between, then "
        "CHANNEL_ID=address for each channel, and at most one without a channel for all others. "
        "ACCOUNT/CHANNEL_ID=address and ACCOUNT/=address are for one account alone, which each has to be where "
        "ALLOWED_ACCOUNTS has several.",
        example="https://hooks.slack.com/services/T0/B0/x",
        default={},
        default_is="none: what policies say to Slack is refused",
    )

    @model_validator(mode="before")
    @classmethod
    def _what_follows(cls, data: Any) -> Any:
        port = data.get("PORT", "8000")
        here = f"http://localhost:{port if port.isdecimal() and len(port) < 6 else 8000}"
        url = data.get("PUBLIC_URL") or here
        return {**data, "PUBLIC_URL": url, "PAGES_ACCESS": data.get("PAGES_ACCESS") or _pages_access(data, url)}


class Settings(Ground, AppSettings):
    """What the control plane reads (`web`, `jobs`, `serve`, `migrate`)."""

    @property
    def may_log_in(self) -> bool:
        """True when people can log in to the pages."""
        return bool(self.github_client_id)

    @property
    def webhook_secrets(self) -> tuple[Secret, ...]:
        """The live webhook secrets, the current one first."""
        return tuple(s for s in (self.github_webhook_secret, self.github_webhook_secret_previous) if s)


def _pages_access(data: Mapping[str, Any], public_url: str) -> PagesAccess:
    """Who reads the pages where nothing is said about it."""
    can_log_in = data.get("GITHUB_CLIENT_ID") and data.get("GITHUB_CLIENT_SECRET")
    return "login" if can_log_in and not _is_here(public_url) else "loopback"


def _is_here(url: str) -> bool:
    """True for an address on this machine, or one that cannot be read: its own field says so."""
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return True


def load_settings(environ: Mapping[str, str]) -> Settings:
    """The control plane's settings. An empty variable counts as not set.

    Raises: UserError that lists every problem, each with its variable, what is wrong and the way out.
    """
    return _load(Settings, environ, _prepare)


def load_ground(environ: Mapping[str, str]) -> Ground:
    """The same without the App. Raises: UserError as load_settings does."""
    return _load(Ground, environ, _prepare_ground)


def names_app(environ: Mapping[str, str]) -> bool:
    """True when the environment has something of an App: then it has to have all of it."""
    return any(environ.get(name, "").strip() for name in APP_VARIABLES)


def load_worker_settings(environ: Mapping[str, str]) -> WorkerSettings:
    """A worker's settings. Raises: UserError as load_settings does."""
    return _load(WorkerSettings, environ, lambda given: (given, []))


_Given = dict[str, str]
_Model = TypeVar("_Model", bound=Environment)


def _load(
    model: type[_Model], environ: Mapping[str, str], prepare: Callable[[_Given], tuple[_Given, list[str]]]
) -> _Model:
    given, problems = prepare({name: value for name, value in environ.items() if value.strip()})
    settings: _Model | None = None
    try:
        settings = model.model_validate(
            {name: value for name, value in given.items() if name.lower() in model.model_fields}
        )
    except ValidationError as error:
        named = {problem.partition(":")[0].removesuffix("_FILE") for problem in problems}
        problems += [
            _tell(model, one)
            for one in error.errors(include_url=False)
            if not one["loc"] or str(one["loc"][0]) not in named
        ]
    if settings is None or problems:
        raise UserError("reading settings: " + "\n  ".join(problems if len(problems) == 1 else ["", *problems]).strip())
    return settings


def _prepare(given: _Given) -> tuple[_Given, list[str]]:
    """What the control plane's variables say together."""
    given, problems = _read_key_file(given)
    given, others = _prepare_ground(given)
    has_all = all(name in given for name in ("GITHUB_APP_ID", "GITHUB_PRIVATE_KEY", "GITHUB_WEBHOOK_SECRET"))
    if names_app(given) and not has_all and "GITHUB_PRIVATE_KEY_FILE" not in given:
        others.append(ALL_OR_NONE)
    return given, [*problems, *others, *_login_problems(given)]


def _prepare_ground(given: _Given) -> tuple[_Given, list[str]]:
    """What those say together that are not the App's."""
    problems: list[str] = []
    lease_s = _number(given.get("LEASE_S", str(Settings.model_fields["lease_s"].default)))
    heartbeat_s = _number(given.get("HEARTBEAT_S", ""))
    if heartbeat_s > lease_s / 2 > 0:
        problems.append("HEARTBEAT_S: is more than half of LEASE_S; one lost heartbeat would lose the run")
    if _has_many_accounts(given) and not all("/" in key for key in _slack_keys(given)):
        problems.append(
            "SLACK_WEBHOOK_URL: has an entry for every account, and ALLOWED_ACCOUNTS has several; give each as "
            "acme/=https://… or acme/C0123456789=https://…"
        )
    return given, problems


def _login_problems(given: _Given) -> list[str]:
    """What is wrong with the variables of the login, taken together."""
    names = ("GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET")
    there, missing = [one for one in names if given.get(one)], [one for one in names if not given.get(one)]
    url = given.get("PUBLIC_URL", "")
    if there and missing:
        return [f"{missing[0]}: is not set, and {there[0]} is; both are on the App's settings page on GitHub"]
    if missing and given.get("PAGES_ACCESS") == "login":
        return ["PAGES_ACCESS: is login, and nobody can log in; set GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET"]
    if there and url.lower().startswith("http:") and not _is_here(url):
        return ["PUBLIC_URL: is http, so that sessions would travel in clear; give an https address, or no client id"]
    return []


def _has_many_accounts(given: _Given) -> bool:
    """True when more than one account is served."""
    return len({name.strip().lower() for name in given.get("ALLOWED_ACCOUNTS", "").split(",") if name.strip()}) > 1


def _slack_keys(given: _Given) -> Sequence[str]:
    """The entries of Slack by their keys; none when they cannot be read: their own field says so."""
    try:
        found = as_slack(given.get("SLACK_WEBHOOK_URL", ""))
    except ValueError:
        return ()
    return list(found) if isinstance(found, dict) else ()


def _number(text: str) -> float:
    """The number; 0 when the text is none: its own field says so."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def _read_key_file(given: _Given) -> tuple[_Given, list[str]]:
    path, key = given.get("GITHUB_PRIVATE_KEY_FILE"), given.get("GITHUB_PRIVATE_KEY")
    if path and key:
        return given, ["GITHUB_PRIVATE_KEY: is set, and GITHUB_PRIVATE_KEY_FILE too; keep one of them"]
    if not path:
        missing = (
            [] if key else ["GITHUB_PRIVATE_KEY: is not set; give the key, or its file as GITHUB_PRIVATE_KEY_FILE"]
        )
        return given, missing
    try:
        with Path(path).open("rb") as file:
            return {**given, "GITHUB_PRIVATE_KEY": file.read(MAX_KEY_FILE_BYTES).decode("ascii", "replace")}, []
    except OSError as error:
        why = f"GITHUB_PRIVATE_KEY_FILE: cannot be read ({error.strerror}); give a PEM file that this user may read"
        return given, [why]


def _tell(model: type[Environment], error: ErrorDetails) -> str:
    """One problem as one line, without the value unless it is a number or a word of a list."""
    if not error["loc"]:  # of several variables together: its text names them
        return str(error["ctx"]["error"])
    name = str(error["loc"][0])
    field = model.model_fields[name.lower()]
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    context, like = error.get("ctx", {}), f"give one like {extra['example']}"
    bounds = [
        f"{word} {getattr(rule, key)}" for key, word in _BOUNDS.items() for rule in field.metadata if hasattr(rule, key)
    ]
    match error["type"]:
        case "missing":
            return f"{name}: is not set; {like}"
        case "int_parsing" | "float_parsing" | "int_type" | "int_from_float":
            return f"{name}: is not a {'whole ' if 'int' in error['type'] else ''}number; {like}"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return f"{name}: is out of bounds; give {' and '.join(bounds)}, like {extra['example']}"
        case "literal_error":
            return f"{name}: is none of its words; give {context['expected']}"
        case "value_error":
            return f"{name}: {context['error']}"
        case _:
            return f"{name}: does not have the right form; {like}"


_BOUNDS: Final = {"gt": "more than", "ge": "at least", "le": "at most"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One line of the settings' documentation."""

    name: str
    needed_by: str
    """`control plane`, `worker`, or `both`."""
    meaning: str
    unit: str
    default: str
    """In words; `required` when there is none."""
    example: str


def describe() -> tuple[Variable, ...]:
    """Every variable, by name."""
    rows: dict[str, Variable] = {}
    for model, needed_by in ((Settings, "control plane"), (WorkerSettings, "worker")):
        for name, field in model.model_fields.items():
            extra: Any = field.json_schema_extra
            default = extra["default_is"] or ("required" if field.is_required() else str(field.default))
            rows[name] = Variable(
                name=name.upper(),
                needed_by="both" if name in rows else needed_by,
                meaning=field.description or "",
                unit=extra["unit"],
                default="empty" if default in ("None", "", "***") else default,
                example=extra["example"],
            )
    return tuple(sorted(rows.values(), key=lambda row: row.name))


def settings_page() -> str:
    """docs/settings.md, generated: one table."""
    cells = [(f"`{v.name}`", v.needed_by, v.meaning, v.unit, v.default, f"`{v.example}`") for v in describe()]
    head = [
        "# Settings\n",
        "Environment variables, generated from `app/settings`. An empty variable counts as not set. All problems",
        "are reported at once, each with its remedy.\n",
        "| variable | read by | meaning | unit | default | example |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *("| " + " | ".join(row) + " |" for row in cells)]) + "\n"


__all__: Final = [
    "Ground",
    "PagesAccess",
    "Settings",
    "Variable",
    "WorkerSettings",
    "describe",
    "is_loopback",
    "load_ground",
    "load_settings",
    "load_worker_settings",
    "names_app",
    "settings_page",
]
