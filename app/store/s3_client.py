"""The client of an S3 store: bounded in time and tries, and the wall where boto3's exceptions stop.

Knows nothing of keys and artifacts. boto3 is loaded with the first client: who keeps artifacts on disk never loads it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from app.core.errors import BrokenError, RetryableError
from app.core.names import Secret

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_S: Final = 5
READ_S: Final = 30
TRIES: Final = 4
"""How often one request is made before its trouble is told: 500, 503, SlowDown, a lost connection."""
CONNECTIONS: Final = 32
DENIED: Final = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "KMS.AccessDeniedException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_BUSY: Final = frozenset(
    {"RequestTimeout", "SlowDown", "ThrottlingException", "Throttling", "ConditionalRequestConflict"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsAccess:
    """Where an AWS service (or one like it) answers, and as whom; what is empty, boto3 finds as it always does."""

    endpoint_url: str = ""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: Secret = field(default_factory=lambda: Secret(""), repr=False)
    session_token: Secret = field(default_factory=lambda: Secret(""), repr=False)


def make_s3_client(access: AwsAccess, *, read_s: float = READ_S) -> "S3Client":
    """A client that can be shared by threads. Units: `read_s` is how long an answer may be silent."""
    from botocore.config import Config

    config = Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_S,
        read_timeout=read_s,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        max_pool_connections=CONNECTIONS,
        # Some stores refuse boto3's default checksums; artifacts are authenticated ciphertext anyway.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if access.endpoint_url else "auto"},
    )
    client: S3Client = make_client("s3", access, config)
    return client


def make_client(service: str, access: AwsAccess, config: Any) -> Any:
    """A boto3 client of a service. Raises: BrokenError when it cannot be made, say without a region."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3.session.Session(
            aws_access_key_id=access.access_key_id or None,
            aws_secret_access_key=access.secret_access_key.reveal() or None,
            aws_session_token=access.session_token.reveal() or None,
            region_name=access.region or None,
        )
        # A stand-in or a store like S3 asks for a region in signatures, and means nothing by it.
        region = session.region_name or ("us-east-1" if access.endpoint_url else None)
        return session.client(  # type: ignore[call-overload]  # the service is a variable here
            service, region_name=region, endpoint_url=access.endpoint_url or None, config=config
        )
    except (BotoCoreError, ValueError) as error:
        raise BrokenError(
            f"opening {service}: {error}; set AWS_REGION and S3_ENDPOINT_URL as they should be"
        ) from error


@contextmanager
def s3_wall(action: str) -> Iterator[None]:
    """Translate boto3's exceptions; `action` begins each text: `storing artifact KEY`.

    Raises: RetryableError when the store did not answer, or was busy, after all tries; BrokenError when it said no.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionError,
        HTTPClientError,
        NoCredentialsError,
        PartialCredentialsError,
    )

    try:
        yield
    except ClientError as error:
        raise _told(action, error) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        way_out = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role"
        raise BrokenError(f"{action}: there are no credentials for the store; {way_out}") from error
    except (ConnectionError, HTTPClientError) as error:
        raise RetryableError(f"{action}: the store did not answer ({type(error).__name__})") from error
    except BotoCoreError as error:
        raise BrokenError(f"{action}: {type(error).__name__}: {error}"[:500]) from error


def code_of(error: Any) -> tuple[str, int]:
    """S3's code of a ClientError and its HTTP status."""
    answer = error.response
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return str(answer.get("Error", {}).get("Code", "")), int(status)


def _told(action: str, error: Any) -> RetryableError | BrokenError:
    code, status = code_of(error)
    if code == "NoSuchBucket":
        return BrokenError(f"{action}: there is no such bucket; make it, or correct ARTIFACT_URL")
    if code in DENIED or status in (401, 403):
        return BrokenError(f"{action}: the store refuses these credentials ({code}); docs/artifacts.md has the policy")
    if code in _BUSY or status >= 500:
        return RetryableError(f"{action}: the store is in trouble ({code or status}), {TRIES} times in a row")
    if status in (301, 307, 400) and code in ("301", "PermanentRedirect", "AuthorizationHeaderMalformed"):
        return BrokenError(f"{action}: the bucket is in another region; set AWS_REGION to it")
    return BrokenError(f"{action}: the store says {code or status}")
