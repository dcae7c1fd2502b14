"""When a schedule is due: cron's five fields in a time zone, read, checked and computed. The only file with croniter.

Pure: a moment goes in, the next one comes out. What is written in local time is computed in local time, and only then
put on the world's clock, so that daylight saving makes no moment twice and loses none.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from croniter import croniter

MAX_SCHEDULE: Final = 100
"""Characters of one schedule."""
LEAST_MINUTES: Final = 15
"""How close two moments may come."""
_SHIFT: Final = timedelta(hours=3)
"""More than a clock is ever put forward or back."""
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""The most days that each month has."""
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_ITEM = re.compile(r"(\*|[0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?(?:/([0-9]{1,2}))?")


class ScheduleWrong(ValueError):
    """A schedule that cannot be used: what is wrong, and what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message, self.remedy = message, remedy


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields: what it is called, and what it may hold."""

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()
    first: int = 0
    """What the first name counts as."""


_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS, 1),
    _Field("day of the week", 0, 7, _WEEKDAYS),
)


@dataclass(frozen=True, slots=True)
class _Expanded:
    """What the five fields come to."""

    minutes: frozenset[int]
    """Of the day: 360 is six o'clock."""
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    is_any_day: bool
    is_any_weekday: bool


def check_schedule(text: str) -> str:
    """The schedule with one blank between its fields. Raises: ScheduleWrong."""
    expanded = _expand(text)
    if expanded.is_any_weekday and not any(
        day <= _DAYS[month - 1] for month in expanded.months for day in expanded.days
    ):
        raise ScheduleWrong("names a day that never comes", "write a day that one of its months has")
    _check_pace([expanded])
    return " ".join(text.split())


def check_together(schedules: Sequence[str]) -> None:
    """Nothing, when several schedules of one stack leave enough time between them. Raises: ScheduleWrong."""
    _check_pace([_expand(one) for one in schedules])


def check_zone(name: str) -> str:
    """The name of a time zone, as the IANA writes it. Raises: ScheduleWrong."""
    known = _zones()
    if name in known:
        return name
    by_form = {one.lower(): one for one in known} | {one.rpartition("/")[2].lower(): one for one in known}
    close = difflib.get_close_matches(name.lower()[:80], by_form, 1, 0.6)
    remedy = f'did you mean "{by_form[close[0]]}"?' if close else 'write one like "Europe/Berlin", or leave it out'
    raise ScheduleWrong("is no time zone", remedy)


def next_due(schedules: Sequence[str], zone: str, after: datetime) -> datetime:
    """The first moment of any of the schedules after an aware one, on the same clock as that.

    A moment in an hour that the clock skips is moved behind the gap; one in an hour that comes twice is the first.
    """
    return min(_next(one, _zone(zone), after) for one in schedules)


def _next(schedule: str, zone: ZoneInfo, after: datetime) -> datetime:
    local = after.astimezone(zone).replace(tzinfo=None)
    moments = croniter(schedule, local - _SHIFT)
    found: datetime | None = None
    while True:
        naive: datetime = moments.get_next(datetime)
        moment = naive.replace(tzinfo=zone).astimezone(UTC)  # fold 0: the first of two, and behind a gap
        if moment > after:
            found = moment if found is None else min(found, moment)
        if found is not None and naive > found.astimezone(zone).replace(tzinfo=None) + _SHIFT:
            return found


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    """The names of time zones that this machine knows."""
    return frozenset(available_timezones() - {"localtime"}) | {"UTC"}


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    """The time zone; UTC, which every machine knows, where it has been taken off the machine since."""
    try:
        return ZoneInfo(name or "UTC")
    except ZoneInfoNotFoundError:
        return ZoneInfo("UTC")


@lru_cache(maxsize=1024)
def _expand(text: str) -> _Expanded:
    """What the fields come to. Raises: ScheduleWrong."""
    fields = text.lower().split()
    if len(text) > MAX_SCHEDULE or len(fields) != len(_FIELDS):
        raise ScheduleWrong(
            f"is no schedule of five fields, at most {MAX_SCHEDULE} characters",
            'write minute, hour, day of the month, month, day of the week: "0 6 * * *" is every day at six',
        )
    minutes, hours, days, months, weekdays = (_values(part, field) for part, field in zip(fields, _FIELDS, strict=True))
    return _Expanded(
        minutes=frozenset(hour * 60 + minute for hour in hours for minute in minutes),
        days=days,
        months=months,
        weekdays=frozenset(day % 7 for day in weekdays),
        is_any_day=fields[2] == "*",
        is_any_weekday=fields[4] == "*",
    )


def _values(text: str, field: _Field) -> frozenset[int]:
    """The values of one field."""
    found: set[int] = set()
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ScheduleWrong(
                f"has {_shown(item)} as its {field.name}", "write a number, `*`, `1-5`, `*/6`, or several with commas"
            )
        first, last, every = match.groups()
        if first == "*":
            low, high = field.least, min(field.most, 6) if field.names == _WEEKDAYS else field.most
        else:
            low = _value(first, field)
            high = _value(last, field) if last else (field.most if every else low)
        step = int(every) if every else 1
        if high < low or step < 1 or (first == "*" and last):
            raise ScheduleWrong(f"has {_shown(item)} as its {field.name}", "begin a range with the smaller value")
        found.update(range(low, high + 1, step))
    return frozenset(found)


def _value(word: str, field: _Field) -> int:
    """A number, or a name of a month or a weekday."""
    if word.isdigit():
        number = int(word)
    elif word in field.names:
        number = field.names.index(word) + field.first
    else:
        close = difflib.get_close_matches(word, field.names, 1, 0.5)
        remedy = f"did you mean `{close[0]}`?" if close else "write a number"
        raise ScheduleWrong(f"has {_shown(word)} as its {field.name}", remedy)
    if not field.least <= number <= field.most:
        raise ScheduleWrong(f"has {number} as its {field.name}", f"write a number from {field.least} to {field.most}")
    return number


def _check_pace(all_of_them: Sequence[_Expanded]) -> None:
    """Raises: ScheduleWrong when two moments that may be of one day, or of two that follow, are too close."""
    moments = sorted({(minute, at) for at, one in enumerate(all_of_them) for minute in one.minutes})
    around = [*moments, *((minute + 1440, at) for minute, at in moments if minute < LEAST_MINUTES)]
    for here, (minute, at) in enumerate(around):
        for later, other in around[here + 1 :]:
            if later - minute >= LEAST_MINUTES:
                break
            if later > minute and _may_meet(all_of_them[at], all_of_them[other], is_next_day=later >= 1440 > minute):
                raise ScheduleWrong(
                    f"comes more often than every {LEAST_MINUTES} minutes",
                    f"leave {LEAST_MINUTES} minutes between, as `*/{LEAST_MINUTES}` does",
                )


def _may_meet(one: _Expanded, other: _Expanded, *, is_next_day: bool) -> bool:
    """False when two schedules never have a moment on one day; of days that follow, that is not told apart."""
    if is_next_day:
        return True
    if not one.months & other.months:
        return False
    if one.is_any_day and other.is_any_day:
        return bool(one.weekdays & other.weekdays)
    if one.is_any_weekday and other.is_any_weekday:
        return bool(one.days & other.days)
    return True


def _shown(word: str) -> str:
    return f"`{word[:20]}`"
