"""The composition root: settings in, adapters and flows out. The only file that knows every room.

`open_control` makes the control plane, which web, jobs and command line share. The other plane is `wiring_worker`'s.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import procrastinate
from starlette.types import ASGIApp

from app.core.config import json_schema
from app.core.event import Repository
from app.core.names import RunId
from app.core.organisationfile import organisation_schema
from app.engine.git import Mirror, Source
from app.flows.act import Act
from app.flows.assign import Assign
from app.flows.budget import Limits
from app.flows.change_phase import ChangePhase
from app.flows.conclude import Conclude
from app.flows.control import Control
from app.flows.decide import Decide
from app.flows.deliver import Deliver
from app.flows.drift_look import Drift
from app.flows.effects import Effects
from app.flows.endpoints import Endpoints
from app.flows.enquire import Enquire
from app.flows.explain import Explain
from app.flows.external import Externals
from app.flows.follow import Follow
from app.flows.identity import Identity
from app.flows.inquire import Inquire
from app.flows.installed import LookAtInstallation
from app.flows.judge import Judge
from app.flows.login import Login
from app.flows.look import Look as LookAtGit
from app.flows.missed import Missed, Pace
from app.flows.notify import Notify
from app.flows.operate import Operate
from app.flows.organise import Organise
from app.flows.ports import Artifacts, GitHub, Policies, Sealer, Store
from app.flows.ports_identity import Signer
from app.flows.ports_notice import PullsOf, Receivers
from app.flows.publish import Publish
from app.flows.publish_checks import Checks
from app.flows.publish_comment import StatusComments
from app.flows.publish_deployments import Deployments
from app.flows.publish_notices import Notices
from app.flows.publish_replies import Replies
from app.flows.rehearse import Rehearse
from app.flows.rehearse_organisation import RehearseOrganisation
from app.flows.rerequest import PlanAgain
from app.flows.secrets import Secrets
from app.flows.send import Send
from app.flows.start import Start
from app.flows.state import States
from app.flows.state_by_hand import StatesByHand
from app.flows.sweep import Sweep
from app.flows.tick import Tick
from app.flows.tidy import Kept, Tidy
from app.flows.trigger import TriggerRuns
from app.flows.visit import Visits
from app.flows.weigh import Weigh
from app.flows.workers import Workers
from app.github.api import Clock
from app.github.client import GitHubApp, utc_now
from app.github.payloads import make_reader
from app.jobs import Tasks
from app.measure import numbers, readiness
from app.messenger.http import HttpReceivers
from app.policy.engine import PolicyEngine
from app.policy.suite_texts import TextSuite
from app.settings import Settings
from app.store.artifacts_disk import DiskArtifacts
from app.store.artifacts_s3 import S3Artifacts
from app.store.jobs_app import make_job_app, rescue_stalled, revive
from app.store.listen import WorkSignal
from app.store.postgres import PostgresStore
from app.vault.vault import Vault
from app.web.app import make_app
from app.web.doors import Doors
from app.web.doors_people import People
from app.web.login import CALLBACK
from app.web.look import Look
from app.web.work import Work
from app.wiring_adapters import make_artifacts, make_github, make_keyring, make_policy_engine

MIRRORS = "mirrors"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """The control plane, wired."""

    settings: Settings
    store: PostgresStore
    vault: Vault
    github: GitHubApp
    control: Control
    operate: Operate
    externals: Externals
    states_by_hand: StatesByHand
    secrets: Secrets
    identity: Identity
    workers: Workers
    endpoints: Endpoints
    tasks: Tasks
    doors: Doors
    signal: WorkSignal
    database_url: str

    def make_web(self) -> ASGIApp:
        """The HTTP doors."""
        return make_app(self.doors)

    def make_job_app(self) -> procrastinate.App:
        """A fresh job application on the database, without tasks: `app.jobs` gives it those."""
        return make_job_app(self.database_url)


@contextmanager
def open_control(settings: Settings, database_url: str, *, now: Clock = utc_now) -> Iterator[ControlPlane]:
    """The control plane on that database; its connections and threads end with the block. `now` is the clock that
    GitHub is met with: the database has its own."""
    data = settings.data_dir
    vault = Vault(make_keyring(settings))
    store = PostgresStore(database_url, sealer=vault, pool_size=settings.database_pool_size)
    github = make_github(settings, watch=Limits(store=store), now=now)
    signal = WorkSignal(database_url)
    policies = make_policy_engine(settings)
    receivers = HttpReceivers(settings.slack_webhook_url)
    try:
        artifacts = make_artifacts(settings)
        mirror = Mirror(data / MIRRORS)
        made = _Adapters(store, github, vault, artifacts, mirror, signal, policies, receivers)
        yield _wire(settings, database_url, made)
    finally:
        receivers.close()
        signal.stop()
        policies.close()
        github.close()
        store.close()


@dataclass(frozen=True, slots=True)
class _Adapters:
    store: PostgresStore
    github: GitHubApp
    vault: Vault
    artifacts: DiskArtifacts | S3Artifacts
    mirror: Mirror
    signal: WorkSignal
    policies: PolicyEngine
    receivers: HttpReceivers


def _wire(settings: Settings, database_url: str, made: _Adapters) -> ControlPlane:
    """Ports and adapters meet here: these lines are where the type checker proves the fit."""
    store: Store = made.store
    github: GitHub = made.github
    sealer: Sealer = made.vault
    artifacts: Artifacts = made.artifacts
    secrets = _secrets(made)
    identity = _identity(settings, made)
    work = _work(settings, made, secrets, identity)
    start = Start(
        store=store,
        github=github,
        look=_look(made),
        questions=made.store,
        prefix=settings.command_prefix,
    )
    control = Control(
        store=store,
        github=github,
        artifacts=artifacts,
        prefix=settings.command_prefix,
        explain=_explain(settings, made),
        start=start,
        inquire=Inquire(store=store, github=github, weigh=_weigh(settings, made)),
    )
    externals = Externals(store=store)
    tasks = _tasks(settings, made, control, work.conclude)
    doors = Doors(
        record_deliveries=made.store.record_deliveries,
        webhook_secrets=settings.webhook_secrets,
        work=work,
        work_signal=made.signal,
        pool_tokens=settings.worker_tokens,
        state=States(store=store, artifacts=artifacts, sealer=sealer),
        reading=Look(store=store, reading=made.store),
        readiness=lambda: readiness(made.store, made.artifacts),
        gauges=lambda: numbers(made.store, settings.worker_tokens),
        stacks_schema=json_schema(),
        organisation_schema=organisation_schema(),
        public_url=settings.public_url,
        github_server_url=settings.github_server_url,
        command_prefix=settings.command_prefix,
        pages_access=settings.pages_access,
        people=_people(settings, made, control),
        metrics_token=settings.metrics_token,
        mark_external=lambda run_id, name, state: externals.mark(run_id, name, state, by="CI", source="api"),
        external_token=settings.external_token,
        database_connections=settings.database_pool_size,
        key_set=identity.key_set,
        find_installed=LookAtInstallation(
            store=store,
            github=made.github,
            is_allowed=_allowed(settings, made.github),
            web_url=settings.github_server_url,
        ).find,
    )
    return ControlPlane(
        settings=settings,
        store=made.store,
        vault=made.vault,
        github=made.github,
        control=control,
        operate=Operate(control=control),
        externals=externals,
        states_by_hand=StatesByHand(store=store, artifacts=artifacts, sealer=sealer),
        secrets=secrets,
        identity=identity,
        endpoints=Endpoints(store=store, allowed=settings.allowed_accounts),
        workers=Workers(store=store, pools=tuple(settings.worker_tokens), lease_s=settings.lease_s),
        tasks=tasks,
        doors=doors,
        signal=made.signal,
        database_url=database_url,
    )


def _people(settings: Settings, made: _Adapters, control: Control) -> People | None:
    """The login; None: nobody can."""
    if not settings.may_log_in:
        return None
    visits = Visits(store=made.store, github=made.github, sealer=made.vault)
    login = Login(
        store=made.store,
        github=made.github,
        sealer=made.vault,
        visits=visits,
        callback_url=f"{settings.public_url}{CALLBACK}",
    )
    return People(visits=visits, login=login, act=Act(control=control, visits=visits))


def _work(settings: Settings, made: _Adapters, secrets: Secrets, identity: Identity) -> Work:
    store: Store = made.store
    github: GitHub = made.github
    sealer: Sealer = made.vault
    conclude = Conclude(
        store=store,
        github=github,
        artifacts=made.artifacts,
        sealer=sealer,
        identity=identity,
        change_phase=ChangePhase(secrets=secrets, identity=identity),
        weigh=_weigh(settings, made),
        lease_s=settings.lease_s,
    )
    assign = Assign(
        store=store,
        github=github,
        sealer=sealer,
        conclude=conclude,
        secrets=secrets,
        identity=identity,
        lease_s=settings.lease_s,
        heartbeat_s=settings.heartbeat_s,
    )
    return Work(assign=assign, conclude=conclude)


def _weigh(settings: Settings, made: _Adapters) -> Weigh:
    return Weigh(policies=made.policies, github=made.github, web_url=settings.github_server_url)


def _identity(settings: Settings, made: _Adapters) -> Identity:
    signer: Signer = made.vault
    host = urlsplit(settings.public_url).hostname or settings.public_url
    return Identity(store=made.store, signer=signer, sealer=made.vault, issuer=settings.public_url, audience=host)


def _secrets(made: _Adapters) -> Secrets:
    return Secrets(store=made.store, sealer=made.vault, find_repository=made.store.find_repository_id)


def _tasks(settings: Settings, made: _Adapters, control: Control, conclude: Conclude) -> Tasks:
    web_url = settings.github_server_url
    policies: Policies = made.policies
    look = _look(made)
    decide = Decide(
        store=made.store,
        look=look,
        enquire=Enquire(github=made.github, look=look, web_url=web_url),
        judge=Judge(policies=policies),
        effects=Effects(web_url=web_url),
        web_url=web_url,
    )
    rehearse = Rehearse(
        store=made.store,
        events=made.store,
        mirror=made.mirror,
        policies=policies,
        tests=TextSuite(),
        source_of=lambda repository: _source(made.github, repository),
        web_url=web_url,
        organisation=RehearseOrganisation(
            store=made.store,
            events=made.store,
            mirror=made.mirror,
            policies=policies,
            tests=TextSuite(),
            source_of=lambda repository: _source(made.github, repository),
            web_url=web_url,
        ),
    )
    organise = Organise(
        store=made.store,
        mirror=made.mirror,
        policies=policies,
        look=look,
        source_of=lambda repository: _source(made.github, repository),
        web_url=web_url,
    )
    deliver = Deliver(
        store=made.store,
        read_payload=make_reader(settings.github_app_id),
        is_served=_allowed(settings, made.github),
        decide=decide,
        control=control,
        again=PlanAgain(
            store=made.store,
            github=made.github,
            artifacts=made.artifacts,
            start=control.start,
            prefix=settings.command_prefix,
        ),
        rehearse=rehearse,
        organise=organise,
        follow=Follow(store=made.store, look=look, artifacts=made.artifacts, secrets=_secrets(made)),
        tick=Tick(store=made.store, github=made.github, artifacts=made.artifacts, prefix=settings.command_prefix),
        prefix=settings.command_prefix,
    )
    publish = Publish(
        store=made.store,
        checks=Checks(store=made.store, github=made.github, progress_after_s=settings.progress_after_s),
        deployments=Deployments(store=made.store, github=made.github),
        replies=Replies(store=made.store, github=made.github),
        comments=StatusComments(
            store=made.store,
            github=made.github,
            run_url=lambda run_id: run_url(settings.public_url, run_id),
            prefix=settings.command_prefix,
            every_s=settings.comment_every_s,
        ),
        run_url=lambda run_id: run_url(settings.public_url, run_id),
        prefix=settings.command_prefix,
        explain=_explain(settings, made),
        rehearse=rehearse,
        notices=Notices(store=made.store, github=made.github),
    )
    missed = _missed(settings, made)
    return Tasks(
        deliver=deliver.deliver,
        publish=publish.publish,
        renew=organise.renew,
        notify=_notify(settings, made).notify,
        trigger=TriggerRuns(store=made.store, policies=made.policies, web_url=settings.github_server_url).trigger,
        send=Send(store=made.store, receivers=made.receivers).send,
        sweep=Sweep(
            store=made.store,
            conclude=conclude,
            artifacts=made.artifacts,
            plans_kept_days=settings.plans_kept_days,
        ).sweep,
        rescue=rescue_stalled,
        revive=revive,
        sweep_every_s=settings.sweep_every_s,
        drift=Drift(store=made.store).look,
        tidy=Tidy(store=made.store, artifacts=made.artifacts, kept=_kept(settings)).tidy,
        start_looks=missed.start,
        looks=missed.looks(),
    )


def _notify(settings: Settings, made: _Adapters) -> Notify:
    receivers: Receivers = made.receivers
    pulls: PullsOf = made.github
    return Notify(
        store=made.store,
        reading=made.store,
        policies=made.policies,
        pulls=pulls,
        receivers=receivers,
        run_url=lambda run_id: run_url(settings.public_url, run_id),
        web_url=settings.github_server_url,
        is_shared=len(settings.allowed_accounts) > 1,
    )


def _missed(settings: Settings, made: _Adapters) -> Missed:
    return Missed(
        store=made.store,
        github=made.github,
        mirror=made.mirror,
        only_one=made.store.only_one,
        source_of=lambda repository: _source(made.github, repository),
        prefix=settings.command_prefix,
        pace=Pace(
            log_every_s=settings.delivery_log_every_s,
            log_days=settings.delivery_log_days,
            per_minute=settings.redeliveries_per_minute,
            refs_every_s=settings.refs_every_s,
            refs_grace_s=settings.refs_grace_s,
        ),
    )


def _look(made: _Adapters) -> LookAtGit:
    return LookAtGit(
        mirror=made.mirror,
        policies=made.policies,
        source_of=lambda repository: _source(made.github, repository),
    )


def _explain(settings: Settings, made: _Adapters) -> Explain:
    return Explain(
        questions=made.store,
        run_url=lambda run_id: run_url(settings.public_url, run_id),
        home_url=f"{settings.public_url}/",
        prefix=settings.command_prefix,
    )


def run_url(public_url: str, run_id: RunId) -> str:
    """Where a run's page is."""
    return f"{public_url}/runs/{run_id}"


def _kept(settings: Settings) -> Kept:
    return Kept(
        logs_days=settings.logs_kept_days,
        deliveries_days=settings.deliveries_kept_days,
        decisions_days=settings.decisions_kept_days,
        state_versions=settings.state_versions_kept,
    )


def _source(github: GitHub, repository: Repository) -> Source:
    return Source(repository.id, github.clone_url(repository), github.control_token(repository))


def _allowed(settings: Settings, github: GitHubApp) -> Callable[[str], bool]:
    """Which accounts are served: ALLOWED_ACCOUNTS, else the App's owner, asked from GitHub once."""
    known: list[str] = []

    def is_served(account: str) -> bool:
        if settings.allowed_accounts:
            return account.lower() in settings.allowed_accounts
        if not known:
            known.append(github.find_app_owner().owner.lower())
        return account.lower() in known

    return is_served
