"""When a schedule is due: read, checked, and computed across time zones, daylight saving and leap years."""

from datetime import UTC, datetime

import pytest

from app.core.cron import ScheduleWrong, check_schedule, check_together, check_zone, next_due


def at(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def moments(schedule: str, zone: str, after: str, number: int) -> list[str]:
    """The next moments of one schedule, one after the other."""
    found = [at(after)]
    for _ in range(number):
        found.append(next_due([schedule], zone, found[-1]))
    return [f"{one:%Y-%m-%d %H:%M}" for one in found[1:]]


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "due"),
    [
        ("0 6 * * *", "", "2026-11-28 05:59", ["2026-11-28 06:00", "2026-11-29 06:00"]),
        ("0 6 * * *", "UTC", "2026-11-28 06:00", ["2026-11-29 06:00"]),
        ("*/15 * * * *", "", "2026-11-28 23:46", ["2026-11-29 00:00", "2026-11-29 00:15", "2026-11-29 00:30"]),
        ("30 18 * * mon-fri", "", "2026-11-27 18:30", ["2026-11-30 18:30", "2026-12-01 18:30"]),
        ("0 6 * * 7", "", "2026-11-28 00:00", ["2026-11-29 06:00"]),
        ("0 0 29 2 *", "", "2026-11-28 00:00", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("0 0 1 JAN,JUL *", "", "2026-11-28 00:00", ["2027-01-01 00:00", "2027-07-01 00:00"]),
        ("0 6 13 * fri", "", "2026-11-28 00:00", ["2026-12-04 06:00", "2026-12-11 06:00", "2026-12-13 06:00"]),
        ("0 6 * * *", "Europe/Berlin", "2026-10-24 00:00", ["2026-10-24 04:00", "2026-10-25 05:00"]),
        ("0 6 * * *", "Europe/Berlin", "2026-03-28 00:00", ["2026-03-28 05:00", "2026-03-29 04:00"]),
        ("0 6 * * *", "Asia/Kathmandu", "2026-11-28 00:00", ["2026-11-28 00:15"]),
    ],
)
def test_a_schedule_is_due_as_cron_and_the_calendar_have_it(
    schedule: str, zone: str, after: str, due: list[str]
) -> None:
    assert moments(schedule, zone, after, len(due)) == due


def test_a_moment_in_an_hour_that_comes_twice_is_one_and_one_in_an_hour_that_does_not_come_is_not_lost() -> None:
    """Berlin puts its clocks back at 01:00 UTC on 25 October 2026, and forward at 01:00 UTC on 29 March 2026."""
    twice = moments("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", 2)
    assert twice == ["2026-10-25 00:30", "2026-10-26 01:30"]
    assert moments("30 2 * * *", "Europe/Berlin", "2026-10-25 00:59", 1) == ["2026-10-26 01:30"]
    assert moments("30 2 * * *", "Europe/Berlin", "2026-10-25 01:29", 1) == ["2026-10-26 01:30"]
    skipped = moments("30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", 2)
    assert skipped == ["2026-03-29 01:30", "2026-03-30 00:30"]
    quarters = moments("*/15 * * * *", "Europe/Berlin", "2026-03-29 00:44", 4)
    assert quarters == ["2026-03-29 00:45", "2026-03-29 01:00", "2026-03-29 01:15", "2026-03-29 01:30"]


def test_of_several_schedules_the_first_moment_of_any_counts() -> None:
    both = ["0 6 * * *", "30 18 * * mon-fri"]
    assert next_due(both, "", at("2026-11-27 06:00")) == at("2026-11-27 18:30")
    assert next_due(both, "", at("2026-11-27 18:30")) == at("2026-11-28 06:00")


def test_a_zone_that_the_machine_has_lost_since_counts_as_utc() -> None:
    assert next_due(["0 6 * * *"], "Europe/Atlantis", at("2026-11-28 00:00")) == at("2026-11-28 06:00")


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("", "is no schedule of five fields"),
        ("@daily", "is no schedule of five fields"),
        ("0 6 * *", "is no schedule of five fields"),
        ("0 0 6 * * *", "is no schedule of five fields"),
        ("0 6 * * " + "1," * 60 + "1", "is no schedule of five fields"),
        ("60 6 * * *", "has 60 as its minute -> write a number from 0 to 59"),
        ("0 24 * * *", "has 24 as its hour -> write a number from 0 to 23"),
        ("0 6 0 * *", "has 0 as its day of the month -> write a number from 1 to 31"),
        ("0 6 * 13 *", "has 13 as its month -> write a number from 1 to 12"),
        ("0 6 * * 8", "has 8 as its day of the week -> write a number from 0 to 7"),
        ("0 6 * * mom", "has `mom` as its day of the week -> did you mean `mon`?"),
        ("0 6 * jam *", "has `jam` as its month -> did you mean `jan`?"),
        ("0 6 jan * *", "has `jan` as its day of the month -> write a number"),
        ("0 6 L * *", "has `l` as its day of the month -> write a number, `*`"),
        ("H 6 * * *", "has `h` as its minute -> write a number, `*`"),
        ("0 6 * * 5#2", "has `5#2` as its day of the week -> write a number, `*`"),
        ("0 6 ? * *", "has `?` as its day of the month -> write a number, `*`"),
        ("0 6, * * *", "has `` as its hour -> write a number, `*`"),
        ("*-5 6 * * *", "has `*-5` as its minute -> begin a range with the smaller value"),
        ("0 6 * * fri-mon", "has `fri-mon` as its day of the week -> begin a range with the smaller value"),
        ("0 */0 * * *", "has `*/0` as its hour -> begin a range with the smaller value"),
        ("0 0 31 2 *", "names a day that never comes"),
        ("0 0 30,31 feb *", "names a day that never comes"),
        ("0 0 31 4,6,9,11 *", "names a day that never comes"),
        ("* * * * *", "comes more often than every 15 minutes"),
        ("*/14 * * * *", "comes more often than every 15 minutes"),
        ("0,50 * * * *", "comes more often than every 15 minutes"),
        ("0,50 23,0 * * *", "comes more often than every 15 minutes"),
    ],
)
def test_a_schedule_that_cannot_be_used_says_why_and_what_to_do(schedule: str, said: str) -> None:
    with pytest.raises(ScheduleWrong) as caught:
        check_schedule(schedule)
    assert f"{caught.value.message} -> {caught.value.remedy}".startswith(said)


@pytest.mark.parametrize(
    "schedule",
    ["0 6 * * *", "*/15 * * * *", "0 0 29 2 *", "0 0 31 2 mon", "0,45 6-18/2 * * 1-5", "5/20 6 * * *", "0 6 * * 5-7"],
)
def test_what_is_accepted_is_computed(schedule: str) -> None:
    assert check_schedule(f" {schedule.replace(' ', '  ')} ") == schedule
    assert next_due([schedule], "", at("2026-11-28 00:00")) > at("2026-11-28 00:00")


def test_schedules_of_one_stack_leave_time_between_unless_they_never_meet_on_a_day() -> None:
    for close in (["0 6 * * *", "14 6 * * *"], ["0 6 * * mon", "5 6 1 * *"], ["55 23 * * *", "0 0 * * *"]):
        with pytest.raises(ScheduleWrong, match="more often than every 15 minutes"):
            check_together(close)
    for apart in (
        ["0 6 * * *", "15 6 * * *"],
        ["0 6 * * *", "0 6 * * mon"],
        ["0 6 * * mon", "5 6 * * tue"],
        ["0 6 1 * *", "5 6 2 * *"],
        ["0 6 * 1 *", "5 6 * 2 *"],
    ):
        check_together(apart)


def test_a_time_zone_is_one_that_the_iana_knows_or_the_nearest_is_named() -> None:
    assert check_zone("Europe/Berlin") == "Europe/Berlin"
    for wrong, remedy in (
        ("Berlin", 'did you mean "Europe/Berlin"?'),
        ("europe/berlin", 'did you mean "Europe/Berlin"?'),
        ("../../etc/passwd", 'write one like "Europe/Berlin", or leave it out'),
        ("", 'write one like "Europe/Berlin", or leave it out'),
    ):
        with pytest.raises(ScheduleWrong) as caught:
            check_zone(wrong)
        assert caught.value.remedy == remedy
