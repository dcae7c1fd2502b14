"""Where artifacts are kept, what seals them, and for how long history stays."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field

from app.core.names import Secret
from app.settings.base import NONE, Environment, variable
from app.settings.values import as_artifacts, as_encrypted, as_key, as_kms_keys, as_secret

Days = Annotated[int, Field(ge=1, le=3650)]


class Storage(Environment):
    """The part of the control plane's settings that is about what it keeps."""

    artifact_url: Annotated[str, BeforeValidator(as_artifacts)] = variable(
        "Where workspaces and states are kept: a folder, as file://, or s3://bucket/prefix.",
        example="s3://acme-trackside/artifacts",
        default="",
        default_is="DATA_DIR/artifacts",
    )
    s3_endpoint_url: Annotated[str, BeforeValidator(as_encrypted)] = variable(
        "Address of a store that speaks S3, reachable from workers too: https, or http on this machine.",
        example="https://s3.example.org",
        default="",
        default_is="AWS",
    )
    s3_sse: Literal["", "AES256", "aws:kms"] = variable(
        "How S3 encrypts on its side what is encrypted already.",
        example="aws:kms",
        default="",
        default_is="as the bucket has it",
    )
    s3_sse_kms_key_id: str = variable(
        "The KMS key of S3_SSE=aws:kms.",
        example="alias/s3",
        default="",
        default_is="the account's own",
        max_length=2048,
    )
    aws_region: str = variable(
        "Region of the bucket and of the KMS key.",
        example="eu-west-1",
        default="",
        default_is="AWS_DEFAULT_REGION, or as boto3 finds it",
        max_length=64,
    )
    aws_default_region: str = variable(
        "The same, when AWS_REGION is not set.", example="eu-west-1", default="", max_length=64
    )
    aws_access_key_id: str = variable(
        "Access key for S3 and KMS.",
        example="AKIAIOSFODNN7EXAMPLE",
        default="",
        default_is="as boto3 finds it: a role, a profile",
        max_length=256,
    )
    aws_secret_access_key: Annotated[Secret, BeforeValidator(as_secret)] = variable(
        "The access key's secret.", example="(from AWS)", default=NONE, default_is="as AWS_ACCESS_KEY_ID"
    )
    aws_session_token: Annotated[Secret, BeforeValidator(as_secret)] = variable(
        "Session token of temporary credentials.", example="(from AWS)", default=NONE, default_is="none"
    )
    encryption_key: Annotated[Secret, BeforeValidator(as_key)] = variable(
        "Base64 of 32 bytes; several with commas between: the first seals, all open.",
        example="(openssl rand -base64 32)",
        default=NONE,
        default_is="a key file in DATA_DIR",
    )
    kms_key_id: Annotated[tuple[str, ...], BeforeValidator(as_kms_keys)] = variable(
        "AWS KMS keys (ARN, id or alias) with commas between: the first seals, all open. ENCRYPTION_KEY and the key "
        "file then only open what they sealed before.",
        example="arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        default=(),
        default_is="no KMS",
    )
    kms_endpoint_url: Annotated[str, BeforeValidator(as_encrypted)] = variable(
        "Address of KMS, for a VPC endpoint or a stand-in.",
        example="https://vpce-1a2b.kms.eu-west-1.vpce.amazonaws.com",
        default="",
        default_is="AWS",
    )
    logs_kept_days: Days = variable(
        "How long the logs of assignments that ended are kept.", unit="days", example="90", default=30
    )
    deliveries_kept_days: Days = variable(
        "How long the bodies of deliveries are kept; that they arrived, and what became of them, stays.",
        unit="days",
        example="90",
        default=30,
    )
    state_versions_kept: int = variable(
        "How many versions of each managed state are kept, the current one included; 0: all of them.",
        unit="versions",
        example="100",
        default=0,
        ge=0,
        le=100_000,
    )

    @property
    def artifact_dir(self) -> Path:
        """The folder of ARTIFACT_URL, or its default under DATA_DIR."""
        return Path(unquote(urlsplit(self.artifact_url).path)) if self.artifact_url else self.data_dir / "artifacts"

    @property
    def artifact_bucket(self) -> tuple[str, str] | None:
        """Bucket and prefix of ARTIFACT_URL, or None when artifacts are kept in a folder."""
        parts = urlsplit(self.artifact_url)
        return (parts.netloc, parts.path.strip("/")) if parts.scheme == "s3" else None
