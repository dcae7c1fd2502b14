"""What the App must be told about itself and its GitHub, as plain values; wiring makes it from the settings."""

from dataclasses import dataclass, field

from app.core.names import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class AppConfig:
    """One GitHub App on one GitHub: github.com, a GitHub Enterprise Server, or the sandbox."""

    app_id: int
    private_key: Secret
    """RSA key in PEM form."""
    client_id: str = ""
    """For logging people in; empty: nobody can."""
    client_secret: Secret = field(default_factory=lambda: Secret(""))
    api_url: str = "https://api.github.com"
    """Root of the REST API: `https://HOST/api/v3` on an Enterprise Server."""
    server_url: str = "https://github.com"
    """Where pages and git repositories are."""
    api_version: str = "2022-11-28"
    """X-GitHub-Api-Version. Newer versions lack `merge_commit_sha`, older servers refuse them."""
    timeout_s: float = 10.0
    """Longest silence of GitHub within one request."""
