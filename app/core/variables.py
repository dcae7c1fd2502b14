"""What a run's commands are told by variables: the stack's own by phase, and ours about the run. Values only."""

import json
from collections.abc import Sequence
from typing import Final

from app.core.event import Repository
from app.core.protocol import Phase
from app.core.run import Run
from app.core.stack import Stack

SKIP_APPLYING: Final = ("SKIP_APPLYING", "SPACELIFT_SKIP_APPLYING")
"""Variables of a stack that say, when one is `true`: plan only."""


def phase_environment(environment: dict[str, str], phase: Phase) -> dict[str, str]:
    """The variables of one phase: `ro_NAME` reaches all but apply, `wo_NAME` only apply; the prefix is stripped.

    A prefixed value wins over the plain one of the same name.
    """
    wanted, other = ("wo_", "ro_") if phase is Phase.APPLY else ("ro_", "wo_")
    plain = {name: value for name, value in environment.items() if not name.startswith((wanted, other))}
    special = {name.removeprefix(wanted): value for name, value in environment.items() if name.startswith(wanted)}
    return plain | special


def run_variables(run: Run, stack: Stack, repository: Repository) -> dict[str, str]:
    """What `TF_VAR_trackside_NAME` and `TF_VAR_spacelift_NAME` say about a run, by NAME; the worker knows the rest.

    Source: the names of Spacelift, so that configurations carry over.
    """
    settings = stack.settings
    branch = run.ref.removeprefix("refs/heads/") if run.ref.startswith("refs/heads/") else settings.branch
    return {
        "account_name": repository.owner,
        "commit_branch": branch,
        "commit_sha": run.source_sha,
        "local_preview": "false",
        "project_root": settings.project_root,
        "repository": repository.full_name,
        "run_id": run.id,
        "run_trigger": run.trigger.value,
        "run_type": run.type.value,
        "space_id": "root",  # there is one space, as policies see it
        "stack_branch": settings.branch,
        "stack_id": stack.policy_id or f"{repository.full_name}/{settings.name}",
        "stack_labels": ",".join(settings.labels),
        "stack_labels_list": _hcl_list(settings.labels),
    }


def _hcl_list(texts: Sequence[str]) -> str:
    """A list as terraform reads it from a variable: an expression, in which nothing of the texts is a template."""
    return json.dumps(list(texts), ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
