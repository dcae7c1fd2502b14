"""What the set-up in the browser says, and what processes say that wait for it.

Pure: values in, a sentence out.
"""

from app.core.setup import MAX_WRONG, PAUSE, AppCredentials, Tried

NOT_CONFIGURED = "the GitHub App is not configured yet; whoever runs this installation opens /setup"
NO_APP = (
    "the GitHub App is not configured: open PUBLIC_URL/setup in a browser with the code that `trackside serve` prints "
    "(`trackside setup` prints a new one), or set GITHUB_APP_ID, GITHUB_PRIVATE_KEY and GITHUB_WEBHOOK_SECRET"
)
ALL_OR_NONE = (
    "GITHUB_APP_ID, GITHUB_PRIVATE_KEY (or its file) and GITHUB_WEBHOOK_SECRET belong together: set all of them, or "
    "none of these and no GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET either; then the App counts that set-up in the "
    "browser stored"
)
NO_DATABASE = (
    "The database does not answer yet, or is not at this version: start it, and run `trackside migrate`. Then load "
    "this page again."
)
NO_CODE = "Give the code that `trackside serve` printed, or run `trackside setup` on the server for a new one."
NO_ACCOUNT = "Say which account owns the App: your own, or an organisation by its name, as in its address on GitHub."
NO_SESSION = (
    "This browser did not begin the set-up, or began it more than an hour ago. Nothing was changed. "
    "Run `trackside setup` on the server for a new code, and begin again. If GitHub has made an App meanwhile, delete "
    "it there."
)
WRONG_STATE = (
    "What GitHub was asked is not what came back: the state differs, or was used. Nothing was changed. Go back to the "
    "set-up page and send the App to GitHub again."
)
NO_GITHUB_CODE = "GitHub sent no code along. Nothing was changed. Go back to the set-up page, and send the App again."
VERSION_UNKNOWN = (
    "This Enterprise Server does not tell its version without a login, so the merge queue is left out, which servers "
    "before 3.12 refuse. Where yours has one, add `merge_queues: read` and the event `merge_group` to the App later."
)


def invitation(public_url: str, code: str) -> str:
    """The line that a process without an App prints."""
    return (
        f"trackside: no GitHub App yet: open {public_url}/setup and give the code {code} (good for one browser, within "
        "an hour)"
    )


def blocked(problem: str) -> str:
    """The line that it prints instead, where no App could be made."""
    return f"trackside: no GitHub App yet, and none can be set up: {problem}"


def foreign_form(public_url: str) -> str:
    """A form that another site sent, or a browser that was shown the page under another name."""
    return (
        f"This form did not come from Trackside's own page at {public_url}. Open {public_url}/setup, and send it from "
        "there; if that is not the address that people use, correct PUBLIC_URL."
    )


def already(app: AppCredentials) -> str:
    """Asked for a code when none is needed."""
    return (
        f"the GitHub App is set up: {app.slug}, of {app.owner}. `trackside setup --reset` forgets it, so that another "
        "can be set up"
    )


def of_code(result: Tried) -> str:
    """Why a code does not open the set-up."""
    again = "run `trackside setup` on the server, which prints a new one"
    match result:
        case Tried.WRONG:
            return "That is not the code. Copy it as `trackside serve` printed it."
        case Tried.LATE:
            return f"The code was good for an hour, which is over: {again}, or restart."
        case Tried.USED:
            return f"The code was used already, by one browser. If that was not you, or it is closed: {again}."
        case Tried.SPENT:
            return f"{MAX_WRONG} wrong codes: the code is void. The server has printed a new one."
        case Tried.PAUSED:
            return f"There were {MAX_WRONG} wrong codes: wait {PAUSE.total_seconds():.0f} s before the next."
        case Tried.RIGHT:
            return ""


def code_refused(why: str) -> str:
    """GitHub does not give the credentials for its code."""
    return (
        f"GitHub did not hand out the App's credentials ({why}). Its code works once, and for an hour. If an App was "
        "made, delete it on GitHub, since its key is nowhere; then go back to the set-up page and begin again."
    )


def code_postponed(why: str) -> str:
    """GitHub does not answer: the same page, loaded again, goes on."""
    return f"GitHub did not answer ({why}). Load this page again: its code works for an hour."


def not_kept(app: AppCredentials, why: str) -> str:
    """GitHub answered, and the database did not: what GitHub says once is lost."""
    return (
        f"GitHub made the App {app.slug}, and its key could not be stored ({why}). Delete the App on GitHub, since its "
        "key is nowhere; then go back to the set-up page and begin again."
    )


def unreadable(why: str) -> str:
    """What set-up stored cannot be opened."""
    return (
        f"opening the App's credentials that set-up stored: {why}. Give the keys of before (the key file in DATA_DIR, "
        "ENCRYPTION_KEY or KMS_KEY_ID), or forget the App with `trackside setup --reset` and set up another"
    )


def elsewhere(app: AppCredentials, server_url: str) -> str:
    """What set-up stored is of another GitHub."""
    return (
        f"reading the App that set-up stored: {app.slug} is on {app.server_url}, and GITHUB_SERVER_URL is "
        f"{server_url}; set that back, or forget the App with `trackside setup --reset`"
    )


def stored(app: AppCredentials) -> str:
    """Where the credentials come from."""
    return f"the App is {app.slug}, of {app.owner}, which set-up in the browser stored"


def shadowed(app: AppCredentials) -> str:
    """The environment names an App, and another is stored."""
    return (
        f"the environment names the App, so the one that set-up stored ({app.slug}, of {app.owner}) does not count; "
        "`trackside setup --reset` forgets it"
    )


def question(slug: str) -> str:
    """Before it is forgotten."""
    return (
        f"Forget the key and the secrets of the App {slug}? Nothing works until another is set up; the App itself "
        "stays on GitHub, and is deleted there"
    )


def forgotten(slug: str) -> str:
    """It is done."""
    return f"{slug} is forgotten: restart `trackside serve`, or web and jobs; they print a code for the next set-up"


NOTHING_STORED = "no App is stored: there is nothing to forget"
