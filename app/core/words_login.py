"""What the pages say about logging in, and about commands that did not get through. Plain text.

Pure. Why a command was refused is said by the words of that command, as everywhere.
"""

from typing import Final

from app.core.markdown import visible
from app.core.visitor import LoginProblem, LoginRefused

_WHY: Final = {
    LoginProblem.DENIED: "You told GitHub not to say who you are, so you are not logged in.",
    LoginProblem.OVER: (
        "This login is not under way: it took longer than ten minutes, was used already, or was begun in another "
        "browser."
    ),
    LoginProblem.CODE: "GitHub did not take the code that came back with you: it may have been used, or be too old.",
    LoginProblem.CALLBACK: (
        "GitHub does not lead back here: whoever runs this installation adds PUBLIC_URL/login/callback to the callback "
        "URLs on the App's settings page on GitHub."
    ),
    LoginProblem.SECRET: (
        "GitHub does not take this installation's client id and secret: whoever runs it compares GITHUB_CLIENT_ID and "
        "GITHUB_CLIENT_SECRET with the App's settings page on GitHub."
    ),
    LoginProblem.EMAIL: "GitHub says nothing of you before the primary address of your account is verified there.",
    LoginProblem.MACHINE: "This account is not a person's: people log in to the pages.",
    LoginProblem.OTHER: "GitHub did not say who you are.",
}


def login_refused(refused: LoginRefused) -> str:
    """Why nobody was logged in, with the way on where it is not just another try."""
    said = f" It said: {visible(refused.said)}." if refused.problem is LoginProblem.OTHER and refused.said else ""
    return _WHY[refused.problem] + said


FORM_FOREIGN: Final = (
    "This form did not come from a page of this installation, or from one that you opened before you last logged in. "
    "Nothing was done. Open the page again, and press the button there."
)
FORM_UNREADABLE: Final = "This form cannot be read. Nothing was done. Open the page again, and press the button there."
NOTHING_TICKED: Final = "No change is ticked, so nothing was planned. Tick those that the next plan is to be of."
