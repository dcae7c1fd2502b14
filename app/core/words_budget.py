"""What the pages say of an installation that has to be quiet for a while. Plain text."""

from app.core.budget import Spending


def throttled(spending: Spending) -> str:
    """Until when what has changed is not told, and whose limit it is; empty when everything is told."""
    wait = spending.throttled
    if wait is None:
        return ""
    where = f" on {spending.account}" if spending.account else ""
    until = f"{wait.until:%H:%M:%S} UTC"
    if wait.is_ours:
        return (
            f"The App has written to GitHub{where} as much as it allows itself, so that answers to people keep their "
            f"room: checks and deployments there follow from {until} on. Runs go on meanwhile."
        )
    return (
        f"GitHub has the App{where} wait: checks and deployments there follow from {until} on. Runs go on meanwhile, "
        "and this page is up to date."
    )
