"""What stands outside, made from the settings: GitHub, artifacts, keys, the policy engine. Nothing is connected yet.

`wiring` joins them to the flows; `doctor` and the commands for keys and backups look at them alone.
"""

from app.github.api import Clock
from app.github.client import GitHubApp, utc_now
from app.github.config import AppConfig
from app.github.limits import LimitWatch
from app.github.setup import GitHubSetup
from app.policy.engine import PolicyEngine
from app.policy.pool import OpaPool
from app.policy.server import OpaServer
from app.settings import Ground, Settings
from app.store.artifacts_disk import DiskArtifacts
from app.store.artifacts_s3 import S3Artifacts, S3Place
from app.store.kms import Kms
from app.store.s3_client import AwsAccess
from app.vault.keys import Keyring
from app.vault.kms import KmsKeyring

KEY_FILE = "key"


def make_github(settings: Settings, *, watch: LimitWatch | None = None, now: Clock = utc_now) -> GitHubApp:
    """The App on its GitHub. Nothing is asked yet."""
    config = AppConfig(
        app_id=settings.github_app_id,
        private_key=settings.github_private_key,
        client_id=settings.github_client_id,
        client_secret=settings.github_client_secret,
        api_url=settings.github_api_url,
        server_url=settings.github_server_url,
        api_version=settings.github_api_version,
    )
    return GitHubApp(config, watch=watch, now=now)


def make_github_setup(settings: Ground) -> GitHubSetup:
    """The same GitHub, asked as nobody: before there is an App."""
    return GitHubSetup(
        api_url=settings.github_api_url,
        server_url=settings.github_server_url,
        api_version=settings.github_api_version,
        now=utc_now,
    )


def make_policy_engine(settings: Ground) -> PolicyEngine:
    """The operator's OPA, or the embedded one: its children start with the first question."""
    if settings.opa_url:
        return OpaServer(settings.opa_url, settings.opa_token or None)
    return OpaPool()


def make_artifacts(settings: Ground) -> DiskArtifacts | S3Artifacts:
    """Where artifacts are kept: the bucket of ARTIFACT_URL, or a folder. Nothing is connected yet."""
    if settings.artifact_bucket is None:
        return DiskArtifacts(settings.artifact_dir)
    bucket, prefix = settings.artifact_bucket
    access = _aws(settings, settings.s3_endpoint_url)
    sse, key = settings.s3_sse, settings.s3_sse_kms_key_id
    return S3Artifacts(S3Place(bucket=bucket, prefix=prefix, access=access, sse=sse, sse_kms_key_id=key))


def make_keyring(settings: Ground) -> Keyring | KmsKeyring:
    """What seals at rest: KMS, the environment's keys, or the key file, which is made when there is none."""
    file = settings.data_dir / KEY_FILE
    if settings.kms_key_id:
        local = Keyring.from_text(settings.encryption_key) if settings.encryption_key else None
        if local is None and file.exists():
            local = Keyring.from_file(file)
        return KmsKeyring(Kms(_aws(settings, settings.kms_endpoint_url), settings.kms_key_id), local)
    if settings.encryption_key:
        return Keyring.from_text(settings.encryption_key)
    return Keyring.from_file(file)


def _aws(settings: Ground, endpoint_url: str) -> AwsAccess:
    return AwsAccess(
        endpoint_url=endpoint_url,
        region=settings.aws_region or settings.aws_default_region,
        access_key_id=settings.aws_access_key_id,
        secret_access_key=settings.aws_secret_access_key,
        session_token=settings.aws_session_token,
    )
