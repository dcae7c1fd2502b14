"""Who a run is, as clouds are told: the subject and the claims of an assignment's OIDC token. Values only.

docs/oidc.md tells operators what each means; a cloud's trust is written against these words, so they do not change.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.core.event import Repository
from app.core.protocol import OIDC_TOKEN_S, Phase
from app.core.record import AssignmentRecord
from app.core.run import Confirmation, Run, RunState
from app.core.stack import Stack

SKEW: Final = timedelta(seconds=30)
"""How far a cloud's clock may be behind ours."""
OPENID_CONFIGURATION: Final = "/.well-known/openid-configuration"
JWKS: Final = "/.well-known/jwks.json"
ATTESTATION_KEYS: Final = "/.well-known/trackside-attestation-keys.json"
CLAIMS: Final = (
    "iss",
    "sub",
    "aud",
    "iat",
    "nbf",
    "exp",
    "jti",
    "repository",
    "repository_id",
    "repository_owner",
    "stack",
    "stack_id",
    "run_id",
    "run_type",
    "phase",
    "sha",
    "ref",
    "worker_pool",
    "plan_digest",
    "confirmed_by",
)
_APPLIES: Final = frozenset({RunState.CONFIRMED, RunState.PREPARING_APPLY, RunState.APPLYING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Whose token it is: a run, in one worker's hands."""

    run: Run
    stack: Stack
    repository: Repository
    record: AssignmentRecord
    confirmation: Confirmation | None
    """Of the plan that is being applied; None while it is planned."""

    @property
    def phase(self) -> Phase:
        """What it does now. An autodeployed run plans and applies with one assignment: once it applies, it says so."""
        return Phase.APPLY if self.run.state in _APPLIES else self.record.phase

    @property
    def subject(self) -> str:
        """`repo:O/R:stack:S:run_type:T:phase:P`: none of the parts can hold a colon."""
        return (
            f"repo:{self.repository.full_name}:stack:{self.run.stack_name}"
            f":run_type:{self.run.type.value}:phase:{self.phase.value}"
        )


def token_claims(bearer: Bearer, *, issuer: str, token_id: str, now: datetime, audience: str) -> dict[str, object]:
    """The claims of a token that is made now; of an apply, with the plan and who confirmed it."""
    run, audiences = bearer.run, bearer.stack.settings.oidc_audience or (audience,)
    claims: dict[str, object] = {
        "iss": issuer,
        "sub": bearer.subject,
        "aud": audiences[0] if len(audiences) == 1 else list(audiences),
        "iat": int(now.timestamp()),
        "nbf": int((now - SKEW).timestamp()),
        "exp": int(now.timestamp()) + OIDC_TOKEN_S,
        "jti": token_id,
        "repository": bearer.repository.full_name,
        "repository_id": str(bearer.repository.id),
        "repository_owner": bearer.repository.owner,
        "stack": run.stack_name,
        "stack_id": run.stack_id,
        "run_id": run.id,
        "run_type": run.type.value,
        "phase": bearer.phase.value,
        "sha": run.source_sha,
        "ref": run.ref,
        "worker_pool": bearer.record.pool,
    }
    if bearer.phase is Phase.APPLY and bearer.confirmation is not None:
        claims |= {"plan_digest": bearer.confirmation.plan_digest, "confirmed_by": bearer.confirmation.actor}
    return claims


def discovery_document(issuer: str) -> dict[str, object]:
    """What /.well-known/openid-configuration says.

    Source: OpenID Connect Discovery 1.0, section 3; there is no authorization endpoint, since nobody logs in here.
    """
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}{JWKS}",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid"],
        "claims_supported": list(CLAIMS),
    }
