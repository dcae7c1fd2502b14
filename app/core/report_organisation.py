"""The `config` check of a commit of an owner's `.trackside` repository: what is in force, or mistakes on their lines.

Fixed content, computed once. The check of a pull request there is `report_rehearsal`'s.
"""

from dataclasses import dataclass

from app.core.markdown import code
from app.core.names import Sha
from app.core.organisation import EVERY, ORGANISATION_PATH, Organisation
from app.core.reply import MAX_ANNOTATIONS, CheckReport, CheckStatus, Conclusion
from app.core.report_annotations import unshown_line
from app.core.report_config import problem_list
from app.core.report_rehearsal import annotations_of
from app.core.stack import Problem

MAX_LISTED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationView:
    """What became of an organisation's settings."""

    owner: str
    head_sha: Sha
    organisation: Organisation | None
    """Set exactly when there are no problems."""
    problems: tuple[Problem, ...] = ()
    has_last_good: bool = False
    """An older version stays in force."""
    is_known: bool = False
    """The same was in force before."""
    renewed: int = 0
    """Repositories that are taken in again."""
    details_url: str = ""


def organisation_report(view: OrganisationView) -> CheckReport:
    """The check."""
    conclusion, title, summary, text = _valid(view) if view.organisation is not None else _invalid(view)
    marks = annotations_of(view.problems)
    return CheckReport(
        name="config",
        head_sha=view.head_sha,
        external_id=f"config/{view.head_sha}",
        status=CheckStatus.COMPLETED,
        conclusion=conclusion,
        title=title,
        summary="\n\n".join(part for part in (summary, unshown_line(len(marks))) if part),
        text=text,
        details_url=view.details_url,
        annotations=marks[:MAX_ANNOTATIONS],
    )


def contents(organisation: Organisation) -> str:
    """What the settings hold, counted: `2 policies, 3 pools`."""
    defaults = organisation.defaults
    parts = (
        (len(organisation.policies), "policy", "policies"),
        (len(organisation.pools or ()), "pool", "pools"),
        (len(organisation.module_repositories), "entry of module repositories", "entries of module repositories"),
    )
    said = [f"{count:,} {one if count == 1 else more}" for count, one, more in parts if count]
    return ", ".join((*(["defaults"] if defaults != type(defaults)() else []), *said)) or "nothing is set"


def _valid(view: OrganisationView) -> tuple[Conclusion, str, str, str]:
    if view.organisation is None:
        raise ValueError("the settings are not valid")
    count = f"{view.renewed:,} {'repository' if view.renewed == 1 else 'repositories'}"
    effect = (
        "The same was in force before."
        if view.is_known
        else f"In force for every repository of {code(view.owner)} from now on; {count} with stacks "
        f"{'is' if view.renewed == 1 else 'are'} taken in again, and nothing of them is confirmed or applied before "
        "that. A plan whose settings changed has to be made again."
    )
    summary = f"`{ORGANISATION_PATH}` is valid. {effect}"
    return Conclusion.SUCCESS, f"valid: {contents(view.organisation)}", summary, _list(view.organisation)


def _list(organisation: Organisation) -> str:
    """Policies and pools, by name."""
    rows = [
        f"- policy {code(spec.name)}: {'every stack' if spec.attach_all else _labels(spec.attach_labels)}"
        for spec in organisation.policies[:MAX_LISTED]
    ]
    for pool, served in sorted((organisation.pools or {}).items())[:MAX_LISTED]:
        whom = "every repository" if EVERY in served else f"{len(served):,} listed"
        rows.append(f"- pool {code(pool)}: {whom}")
    return "\n".join(rows)


def _labels(labels: tuple[str, ...]) -> str:
    return f"stacks with the label {' or '.join(code(label) for label in labels[:6])}"


def _invalid(view: OrganisationView) -> tuple[Conclusion, str, str, str]:
    count = len(view.problems)
    title = f"{count:,} {'problem' if count == 1 else 'problems'} in the organisation's settings"
    last_good = (
        "The last valid version stays in force."
        if view.has_last_good
        else "There is no older valid version: nothing is set for the organisation until it is mended."
    )
    summary = f"The settings of {code(view.owner)} are not valid. {last_good}"
    return Conclusion.FAILURE, title, summary, problem_list(view.problems)
