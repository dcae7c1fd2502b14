"""`drift` as a stacks file may have it: schedules are checked here, and computed in `cron`."""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, PlainValidator, WithJsonSchema

from app.core.configbase import CLOSED, wrong
from app.core.cron import MAX_SCHEDULE, ScheduleWrong, check_schedule, check_together, check_zone
from app.core.document import quoted

MAX_SCHEDULES: Final = 8
"""Schedules of one stack."""


def _schedules(value: Any) -> list[str]:
    """One schedule, or several, each once."""
    listed = [value] if isinstance(value, str) else value
    is_fitting = isinstance(listed, list) and 0 < len(listed) <= MAX_SCHEDULES
    if not is_fitting or not all(isinstance(one, str) for one in listed):
        raise wrong(
            f"`schedule` is a text of five fields, or a list of 1 to {MAX_SCHEDULES} of them",
            'write one like "0 6 * * *", in quotes',
        )
    try:
        read = [_schedule(one) for one in listed]
        check_together(read)
    except ScheduleWrong as error:
        raise wrong("moments of one schedule are too close to those of another", error.remedy) from error
    return list(dict.fromkeys(read))


def _schedule(value: str) -> str:
    try:
        return check_schedule(value)
    except ScheduleWrong as error:
        raise wrong(f"the schedule {quoted(value)} {error.message}", error.remedy) from error


def _zone(value: str) -> str:
    try:
        return check_zone(value)
    except ScheduleWrong as error:
        raise wrong(f"{quoted(value)} {error.message}", error.remedy) from error


_SCHEDULE_SCHEMA: Final = {"type": "string", "minLength": 9, "maxLength": MAX_SCHEDULE}
_SCHEDULES_SCHEMA: Final = {
    "anyOf": [
        _SCHEDULE_SCHEMA,
        {"type": "array", "items": _SCHEDULE_SCHEMA, "minItems": 1, "maxItems": MAX_SCHEDULES},
    ]
}
Schedules = Annotated[list[str], PlainValidator(_schedules), WithJsonSchema(_SCHEDULES_SCHEMA)]
Zone = Annotated[str, AfterValidator(_zone)]


class DriftModel(BaseModel):
    """When what exists is compared with what was deployed, and what follows from a difference."""

    model_config = CLOSED

    schedule: Schedules
    """Minute, hour, day of the month, month, day of the week, as cron has them; or several of these."""
    timezone: Zone = "UTC"
    """The IANA name of the time zone that the schedule is written in."""
    reconcile: bool = False
    """Make a tracked run of the same commit when there is drift: planned, judged and confirmed as every other."""
    ignore_state: bool = False
    """Compare also while a run waits for a person, and after one that failed."""
