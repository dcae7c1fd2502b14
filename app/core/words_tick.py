"""What the App says of an edit of its comment: why it was put back, or why a ticked plan is not made. Markdown.

Pure; foreign words go into code. Stands beside `app.core.words`.
"""

from app.core.markdown import code


def edit_refused(login: str, permission: str) -> str:
    """Somebody edited the comment who may not give commands."""
    return (
        f"I put back what {code(login, limit=60)} changed in my comment: that takes write permission on the "
        f"repository, and it is {permission}."
    )


def tick_too_old(digest: str) -> str:
    """The box that was ticked belongs to a plan that does not wait any more."""
    return (
        f"Not done: the plan {code(digest)} has changed, or was decided about, since that box was shown. Read the plan "
        "that stands in my comment now, then tick again."
    )


def tick_too_late() -> str:
    """The tick arrived long after it was made."""
    return "Not done: your tick reached me late, and things may have changed. Please tick the box again."
