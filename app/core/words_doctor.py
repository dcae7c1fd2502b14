"""What `trackside doctor` says about each thing that it looks at: what was found, and the way out.

Pure: values in, a sentence out. Which of them is ok, a warning or a problem, is decided where it is looked at.
"""

from app.core.appform import Need

APP_PAGE = "the App's settings page on GitHub"
NOT_LOOKED_AT = "not looked at: settings come first"
DATABASE_FINE = "answers, and is current"
ARTIFACTS_FINE = "can be written to"
CONDITIONAL = "can be written to, and refuses to overwrite"
KEYS_FINE = "readable: what they seal, they open"
KEYS_DIFFER = "what they seal, they do not open: look at ENCRYPTION_KEY, KMS_KEY_ID and the key file"
POLICIES_FINE = "the engine answers"
CLIENT_SECRET_REFUSED = (
    f"GitHub does not take GITHUB_CLIENT_SECRET, so nobody can log in: generate one on {APP_PAGE}, and set it"
)
CLOCK_UNKNOWN = "GitHub's answers carry no readable date: whether this machine's clock is right cannot be said"
POOL_ACCEPTS = "WORKER_TOKEN is accepted, and both speak the same protocol"
POOL_REFUSES = (
    "WORKER_TOKEN belongs to no pool: give one of the control plane's WORKER_TOKENS, without the pool's name before it"
)
NOT_ISOLATED = "plans and hooks run as the worker's user and can read all that it can: its token, other runs"
NO_ENGINE = "neither terraform nor tofu is here: install one, set TERRAFORM_BIN or TOFU_BIN, or give a TOOLS_MIRROR"
NO_LFS = "git-lfs is not installed: a stack with `git: {lfs: true}` fails; install the package git-lfs"


def no_end(within_s: float) -> str:
    """Looking took too long."""
    return f"no answer within {within_s:g} s: look at what it stands on, and at the network between"


def broke(what: str) -> str:
    """A bug of ours."""
    return f"looking at it broke ({what[:100]}): that is a bug of this program's"


def no_key_file(path: str) -> str:
    """The key file is made at the first start; a second start without it is a loss."""
    return (
        f"there is no key file {path}: the first start makes one. If this installation has run before, bring the file "
        "back before anything is started: nothing that it sealed can be opened without it"
    )


def no_engine_for_policies(why: str) -> str:
    """Only the default policy, which needs no engine."""
    return f"{why}; until then stacks with policies of their own are not decided"


def answers_as(slug: str, owner: str) -> str:
    """GitHub takes the App's key."""
    return f"accepts the App's key: {slug}, of {owner}"


def app_refused(why: str) -> str:
    """GitHub says no to the App's key."""
    return f"{why}. Compare GITHUB_APP_ID and the private key with {APP_PAGE}: a key is good for its own App alone"


def clock(skew_s: float) -> str:
    """How far this machine's clock is from GitHub's."""
    if abs(skew_s) < 2:
        return "agrees with GitHub's"
    return f"{abs(skew_s):.0f} s {'behind' if skew_s > 0 else 'ahead of'} GitHub's"


def clock_off(skew_s: float) -> str:
    """It is so far off that something breaks, or will."""
    return f"{clock(skew_s)}: GitHub refuses tokens that are signed at another time; keep the clock by NTP"


def missing_permission(need: Need, held: str) -> str:
    """The App does not ask for it."""
    has = f"has {held}" if held else "does not have it"
    return (
        f"{need.name}: {need.level} is missing ({has}), needed for: {need.reason}. "
        f"Add it under Permissions on {APP_PAGE}; then each account accepts it"
    )


def more_than_needed(need: Need, held: str) -> str:
    """More power than is used."""
    return f"{need.name}: the App has {held}, and uses {need.level} alone: take it back on {APP_PAGE}"


def missing_event(need: Need) -> str:
    """The App is not told of it."""
    return f"event {need.name} is missing, needed for: {need.reason}. Tick it under Subscribe to events on {APP_PAGE}"


def app_complete(permissions: int, events: int) -> str:
    """Nothing is missing of what App or installation should have."""
    return f"all {permissions} permissions and {events} events are there"


def not_granted(account: str, need: Need, held: str) -> str:
    """The account has not accepted a permission."""
    has = f"granted {held}" if held else "not granted"
    return (
        f"{account}: {need.name}: {need.level} is {has}, needed for: {need.reason}. "
        f"An owner of {account} accepts the App's new permissions on the installation's page"
    )


def not_told(account: str, need: Need) -> str:
    """The installation does not hear of an event."""
    return (
        f"{account}: event {need.name} is not sent, needed for: {need.reason}. Tick it on {APP_PAGE}, and let an owner "
        f"of {account} accept the App's new permissions"
    )


def granted(account: str) -> str:
    """Everything is granted there."""
    return f"{account}: everything that is needed is granted"


def suspended(account: str) -> str:
    """Nothing works there."""
    return f"{account}: suspended: nothing works there until an owner of it lets the App work again"


def not_installed(account: str) -> str:
    """An account that should be served has no App."""
    return f"{account}: the App is not installed there: install it, or take the account out of ALLOWED_ACCOUNTS"


def not_served(accounts: list[str]) -> str:
    """The App is installed where nobody wants it."""
    shown = ", ".join(accounts[:10]) + (f" and {len(accounts) - 10} more" if len(accounts) > 10 else "")
    return f"installed on {shown}, and not served: add to ALLOWED_ACCOUNTS what should be, and uninstall the rest"


def webhook_fine(url: str) -> str:
    """Deliveries go where they should."""
    return f"deliveries go to {url}"


def webhook_here(url: str) -> str:
    """Deliveries stay on this machine, and so does GitHub's stand-in."""
    return f"deliveries go to {url}, on this machine: right for a GitHub that runs here too, as the sandbox does"


def webhook_out_of_reach(url: str) -> str:
    """Deliveries go where GitHub itself would have to be."""
    return (
        f"deliveries go to {url}, which means this machine alone, and GitHub is elsewhere: give PUBLIC_URL an address "
        f"that GitHub reaches, and set it as the webhook's URL on {APP_PAGE}"
    )


def webhook_elsewhere(found: str, wanted: str) -> str:
    """Deliveries go somewhere else, or nowhere."""
    has = f"deliveries go to {found}" if found else "the App has no webhook"
    return f"{has}, and not to {wanted}: set the webhook's URL on {APP_PAGE}, or correct PUBLIC_URL"


def webhook_form(content_type: str) -> str:
    """Deliveries come in a form that is not read."""
    return f"deliveries come as {content_type[:40]!r}: set the webhook's content type to application/json"


def webhook_unverified() -> str:
    """Anybody in between can be the receiver."""
    return "GitHub does not verify the certificate of PUBLIC_URL: switch SSL verification on"


def no_deliveries() -> str:
    """Nothing was sent in the days that the log remembers."""
    return "none in GitHub's log (it remembers three days): push something, or look at the webhook"


def deliveries(failed: int, total: int, lost: int, status: int) -> str:
    """How the newest deliveries went; `lost` events have no attempt that was taken."""
    if not failed:
        return f"the last {total} were all taken"
    most, each = ("it was", "it") if failed == 1 else ("most were", "each")
    answer = f"answered {status}" if status else "not answered at all"
    share = f"{failed} of the last {total} failed ({100 * failed / total:.0f} %), {most} {answer}"
    if not lost:
        return f"{share}; {each} was taken in the end"
    hint = {
        401: "the webhook secret: compare GITHUB_WEBHOOK_SECRET with the App's",
        0: "whether GitHub reaches PUBLIC_URL",
        503: "the database: the log of the web process says more",
    }
    events = "event" if lost == 1 else "events"
    return f"{share}; {lost} {events} never arrived. Look at {hint.get(status, 'the log of the web process')}"


def reaches(url: str, latency_s: float) -> str:
    """Something answers."""
    return f"{url} answers in {1000 * latency_s:.0f} ms"


def control_unready(url: str, status: int) -> str:
    """Something answers, and says that it is not well."""
    return f"{url} answered {status}: look at the web process, and at what stands before it"


def not_reached(url: str, why: str) -> str:
    """Nothing answers."""
    return f"{url} does not answer ({why[:200]}): look at CONTROL_URL, the network, and the web process"


def token_unclear(status: int, said: str) -> str:
    """An answer that no version of ours gives, or one that names another protocol."""
    return f"the control plane answered {status}: {said[:300]}"


def not_isolated(why: str) -> str:
    """The warning of a worker's start."""
    return f"runs are NOT isolated ({why}): {NOT_ISOLATED}; make bubblewrap work here, or give workers a machine each"


def git_too_old(version: str, least: str) -> str:
    """Fetching would fail."""
    return f"{version} is too old: install git {least} or newer"


def origin_silent(origin: str, why: str) -> str:
    """No provider can be fetched that is not here."""
    return (
        f"providers come from {origin}, which does not answer ({why[:200]}): only those that are here already can be "
        "used; look at the network, or set PROVIDERS_MIRROR"
    )


def space(folder: str, free_bytes: int) -> str:
    """How much is free."""
    return f"{free_bytes / 2**30:.1f} GiB free in {folder}"


def space_short(folder: str, free_bytes: int, wanted_bytes: int) -> str:
    """Less than runs may take."""
    return (
        f"{space(folder, free_bytes)}, and its runs may take {wanted_bytes / 2**30:.1f} GiB (MAX_WORKSPACE_MB for each "
        "of WORKER_CONCURRENCY): make room, or lower them"
    )


def client_of_another(slug: str) -> str:
    """The login is not this App's."""
    return f"GITHUB_CLIENT_ID is not the client id of {slug}: compare it with {APP_PAGE}"


def login_fine(callback_url: str) -> str:
    """GitHub takes the App's secret; its callback URLs it shows to nobody."""
    return f"GitHub takes the client secret; {callback_url} has to be a callback URL on {APP_PAGE}"


def pages_read_by(access: str, public_url: str) -> str:
    """Who reads the pages, and that is as it should be."""
    if access == "login":
        return "people who log in with GitHub read them, each what they may read there"
    if access == "open":
        return "everyone on this machine reads them"
    return f"a browser on this machine reads them, at {public_url}"


def pages_read_by_nobody(public_url: str) -> str:
    """They are for this machine, and nobody comes to it by that name."""
    return (
        f"nobody reads them: PAGES_ACCESS is loopback, and {public_url} is not on this machine. Set GITHUB_CLIENT_ID "
        "and GITHUB_CLIENT_SECRET, and people log in with GitHub"
    )


def pages_read_by_all(public_url: str) -> str:
    """They are for everyone."""
    return (
        f"everyone who reaches {public_url} reads them, plans and logs: PAGES_ACCESS is open. Have a login of your own "
        "in front, or set it to login"
    )
