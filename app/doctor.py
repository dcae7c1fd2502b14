"""`trackside doctor`: looks over everything that this process's environment names, and changes nothing.

What is looked at is said by app.flows.diagnose (the App on GitHub), app.worker.diagnose (a worker's machine) and here
(what the control plane stands on). Every check has a thread and a time of its own: one that breaks, or never ends, is a
finding like any other.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from threading import Thread
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from app.core import words_doctor as words
from app.core import words_notice, words_setup
from app.core.appmanifest import UNKNOWN_VERSION, is_github, left_out
from app.core.contract import PolicyText, PolicyType
from app.core.errors import TracksideError, UserError
from app.core.finding import Finding, fine, has_problem, problem, warning, without
from app.core.names import Secret
from app.core.setup import AppCredentials
from app.engine.isolation import find_isolation
from app.flows.diagnose import Diagnose
from app.flows.ports_doctor import AppQuestions
from app.github.client import GitHubApp
from app.settings import Ground, Settings, WorkerSettings, is_loopback, load_worker_settings
from app.settings.base import Environment
from app.store.embedded import EmbeddedPostgres
from app.store.migrations import pending_migrations
from app.store.reach import check_reachable
from app.store.reading_notices import read_endpoints
from app.store.url import conninfo
from app.wiring_adapters import (
    KEY_FILE,
    make_artifacts,
    make_github,
    make_github_setup,
    make_keyring,
    make_policy_engine,
)
from app.wiring_app import find_app, is_ready, load_first, with_app
from app.wiring_worker import open_worker
from app.worker.diagnose import DiagnoseWorker

CHECK_S: Final = 40.0
"""How long one check may take: a question to GitHub is tried three times."""
WEBHOOK: Final = "/webhooks/github"
CALLBACK: Final = "/login/callback"
_CONTROL: Final = ("GITHUB_APP_ID", "GITHUB_WEBHOOK_SECRET", "DATABASE_URL")
"""Variables that a control plane alone has."""
_WORKER: Final = ("CONTROL_URL", "WORKER_TOKEN")
_SEAL: Final = {"what": "doctor"}
_POLICY: Final = "package spacelift\ntrack { input.push.branch == input.stack.branch }\n"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at."""

    subject: str
    look: Callable[[], Iterable[Finding]]


def examine(environ: Mapping[str, str], *, within_s: float = CHECK_S) -> list[Finding]:
    """Everything that was found: on the control plane, on a worker, or on both, as the environment has it.

    No value of a secret is in it.
    """
    is_worker = all(environ.get(name, "").strip() for name in _WORKER)
    is_control = not is_worker or any(environ.get(name, "").strip() for name in _CONTROL)
    found: list[Finding] = []
    if is_control:
        found += _control(environ, within_s, has_worker=is_worker)
    if is_worker:
        found += _worker(environ, within_s)
    return found


def run_checks(checks: Sequence[Check], *, within_s: float) -> list[Finding]:
    """What the checks find, in their order: all at once, each for so long at most."""
    results: list[list[Finding]] = [[] for _ in checks]
    is_over = [False] * len(checks)

    def look(at: int, check: Check) -> None:
        results[at] = _looked(check)
        is_over[at] = True

    # Daemons: one that never ends does not keep the process.
    threads = [
        Thread(target=look, args=(at, check), name=check.subject, daemon=True) for at, check in enumerate(checks)
    ]
    until = monotonic() + within_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - monotonic()))
    found: list[Finding] = []
    for check, ended, result in zip(checks, is_over, results, strict=True):
        found += result if ended else [problem(check.subject, words.no_end(within_s))]
    return found


def _looked(check: Check) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(check.look())
    except TracksideError as error:
        found.append(problem(check.subject, str(error)))
    except Exception as error:  # the others still have to be said
        found.append(problem(check.subject, words.broke(type(error).__name__)))
    return found


def _control(environ: Mapping[str, str], within_s: float, *, has_worker: bool) -> list[Finding]:
    try:
        settings, found = _with_app(environ, within_s)
    except UserError as error:
        return [*_of_settings(error), warning("everything else", words.NOT_LOOKED_AT)]
    if not isinstance(settings, Settings):  # without an App GitHub cannot be asked
        found += run_checks(_stands_on(settings), within_s=within_s)
        return without(found, _secrets(settings))
    with closing(make_github(settings)) as github:
        diagnose = _diagnose(settings, github)
        found += run_checks([*_stands_on(settings), Check("github", diagnose.identify)], within_s=within_s)
        if not has_problem(one for one in found if one.subject == "github"):
            found += run_checks([Check(*one) for one in diagnose.further()], within_s=within_s)
    if not settings.worker_tokens and not has_worker:  # `serve` starts a worker on this machine
        found += _machine(environ, within_s)
    return without(found, _secrets(settings))


def _with_app(environ: Mapping[str, str], within_s: float) -> tuple[Ground, list[Finding]]:
    """The settings, with the App wherever it comes from, and what is to be said of that. Raises: UserError."""
    first, stored = load_first(environ), list[AppCredentials]()
    complete = fine("settings", "the control plane's are complete")
    found = run_checks([Check("app", lambda: _look_for_app(first, stored))], within_s=within_s)
    if isinstance(first, Settings):
        return first, [complete, *(warning("app", words_setup.shadowed(app)) for app in stored)]
    if not stored:
        return first, found or [problem("app", words_setup.NO_APP)]
    return with_app(environ, stored[0]), [complete, fine("app", words_setup.stored(stored[0]))]


def _look_for_app(first: Ground, stored: list[AppCredentials]) -> Iterable[Finding]:
    """Put the App that set-up stored there, if there is one. Without a key file nothing was ever sealed, and asking the
    keyring would make one."""
    url = first.database_url.reveal() or EmbeddedPostgres(first.data_dir).url
    has_key = bool(first.encryption_key or first.kms_key_id) or (first.data_dir / KEY_FILE).exists()
    app = find_app(first, url) if has_key and is_ready(url) else None
    stored += [app] if app is not None else []
    return ()


def _diagnose(settings: Settings, github: GitHubApp) -> Diagnose:
    questions: AppQuestions = github  # where the type checker proves the fit
    accounts, url = settings.allowed_accounts, f"{settings.public_url}{WEBHOOK}"
    here = is_loopback(urlsplit(settings.github_api_url).hostname or "")
    return Diagnose(
        github=questions,
        allowed_accounts=accounts,
        webhook_url=url,
        is_github_here=here,
        client_id=settings.github_client_id,
        callback_url=f"{settings.public_url}{CALLBACK}",
        lacking=lambda: left_out(_version(settings)),
    )


def _version(settings: Settings) -> tuple[int, int] | None:
    """GitHub's version; None for github.com, and for a server that does not tell: then nothing is excused."""
    if is_github(settings.github_server_url):
        return None
    asked = make_github_setup(settings)
    with closing(asked):
        version = asked.ask_version()
    return None if version == UNKNOWN_VERSION else version


def _stands_on(settings: Ground) -> list[Check]:
    return [
        Check("database", lambda: _database(settings)),
        Check("artifacts", lambda: _artifacts(settings)),
        Check("keys", lambda: _keys(settings)),
        Check("policies", lambda: _policies(settings)),
        Check("pages", lambda: _pages(settings)),
    ]


def _database(settings: Ground) -> Iterator[Finding]:
    given = settings.database_url.reveal()
    url = given or EmbeddedPostgres(settings.data_dir).url
    check_reachable(conninfo(url), embedded_in="" if given else str(settings.data_dir / "postgres"))
    missing = pending_migrations(url)
    if missing:
        yield problem("database", f"migrations {', '.join(missing)} are missing: trackside migrate")
    else:
        yield fine("database", words.DATABASE_FINE)
        for endpoint in read_endpoints(url):
            if not endpoint.is_on:
                yield warning("notifications", words_notice.endpoint_off(endpoint))
            elif not (endpoint.accounts or endpoint.is_slack) and len(settings.allowed_accounts) > 1:
                yield warning("notifications", words_notice.nobodys(endpoint))


def _artifacts(settings: Ground) -> Iterator[Finding]:
    make_artifacts(settings).check_ready()
    yield fine("artifacts", words.CONDITIONAL if settings.artifact_bucket else words.ARTIFACTS_FINE)


def _keys(settings: Ground) -> Iterator[Finding]:
    file = settings.data_dir / KEY_FILE
    if not settings.encryption_key and not settings.kms_key_id and not file.exists():
        yield warning("keys", words.no_key_file(str(file)))  # asking the keyring would make one
        return
    keyring, data = make_keyring(settings), b"looked at"
    if keyring.open(keyring.seal(data, _SEAL), _SEAL) == data:
        yield fine("keys", words.KEYS_FINE)
    else:
        yield problem("keys", words.KEYS_DIFFER)


def _policies(settings: Ground) -> Iterator[Finding]:
    text = PolicyText(name="doctor", type=PolicyType.PUSH, path="doctor.rego", text=_POLICY)
    with make_policy_engine(settings) as engine:
        try:
            mistakes = engine.check(text)
        except UserError as error:
            if settings.opa_url:
                raise
            yield warning("policies", words.no_engine_for_policies(str(error)))
            return
        for mistake in mistakes:
            yield problem("policies", mistake.message)
        if not mistakes:
            yield fine("policies", words.POLICIES_FINE)


def _pages(settings: Ground) -> Iterator[Finding]:
    access, url = settings.pages_access, settings.public_url
    is_here = is_loopback(urlsplit(url).hostname or "")
    if access == "loopback" and not is_here:
        yield warning("pages", words.pages_read_by_nobody(url))
    elif access == "open" and not is_here:
        yield warning("pages", words.pages_read_by_all(url))
    else:
        yield fine("pages", words.pages_read_by(access, url))


def _worker(environ: Mapping[str, str], within_s: float) -> list[Finding]:
    try:
        settings = load_worker_settings(environ)
    except UserError as error:
        return [*_of_settings(error), warning("everything else", words.NOT_LOOKED_AT)]
    diagnose = _diagnose_worker(settings)
    checks = [Check(*one) for one in diagnose.checks()]
    found = [fine("settings", "the worker's are complete")]
    found += run_checks([*checks, _isolation_of(settings, environ)], within_s=within_s)
    return without(found, _secrets(settings))


def _machine(environ: Mapping[str, str], within_s: float) -> list[Finding]:
    """This machine as the worker of `serve` finds it."""
    here = {"CONTROL_URL": "http://127.0.0.1", "WORKER_TOKEN": "of-the-worker-of-serve"}
    settings = load_worker_settings({**environ, **here})
    checks = [Check(*one) for one in _diagnose_worker(settings).machine()]
    return run_checks([*checks, _isolation_of(settings, environ)], within_s=within_s)


def _diagnose_worker(settings: WorkerSettings) -> DiagnoseWorker:
    """Made without isolation, which is tried out by a check of its own: a worker that demands it does not start."""
    return DiagnoseWorker(config=open_worker(settings.model_copy(update={"isolation": "none"})).config)


def _isolation_of(settings: WorkerSettings, environ: Mapping[str, str]) -> Check:
    def look() -> Iterator[Finding]:
        search_path = environ.get("PATH", os.defpath)
        found = find_isolation(settings.isolation, readable=settings.isolation_readable, search_path=search_path)
        if found.is_on:
            yield fine("isolation", found.summary)
        else:
            yield warning("isolation", words.not_isolated(found.why_not))

    return Check("isolation", look)


def _of_settings(error: UserError) -> list[Finding]:
    """Each problem by itself: load_settings tells all at once."""
    lines = str(error).removeprefix("reading settings: ").splitlines()
    return [problem("settings", line.strip()) for line in lines if line.strip()]


def _secrets(settings: Environment) -> list[Secret]:
    """Every secret among the settings."""
    values = [getattr(settings, name) for name in type(settings).model_fields]
    found = [value for value in values if isinstance(value, Secret)]
    for value in values:
        if isinstance(value, dict):
            groups = [group if isinstance(group, tuple) else (group,) for group in value.values()]
            found += [token for group in groups for token in group]
    return found
