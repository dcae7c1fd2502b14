"""The write budget: no window is ever overfull, each lane keeps its room for those above, GitHub's word goes first."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from app.core.budget import WINDOWS, Budget, Lane, Spending, Wait, find_wait, lane_to_spare, pause, take
from app.core.names import InstallationId

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    """A moment after NOW."""
    return NOW + timedelta(seconds=seconds)


def spent(count: int, *, lane: Lane = Lane.ANSWER, every_s: float = 0.1) -> Budget:
    """A budget after so many writes, from NOW on."""
    budget = Budget()
    for number in range(count):
        found = take(budget, lane, after(number * every_s))
        assert isinstance(found, Budget)
        budget = found
    return budget


@pytest.mark.parametrize(("lane", "most"), [(Lane.ANSWER, 60), (Lane.CONCLUSION, 40), (Lane.PROGRESS, 20)])
def test_a_minute_takes_so_many_writes_of_a_lane(lane: Lane, most: int) -> None:
    budget = spent(most, lane=lane)
    assert take(budget, lane, after(30)) == Wait(after(60), is_ours=True)
    assert isinstance(take(budget, lane, after(60)), Budget)


def test_an_answer_has_room_when_conclusions_have_none() -> None:
    budget = spent(40, lane=Lane.CONCLUSION)
    assert isinstance(take(budget, Lane.CONCLUSION, after(5)), Wait)
    for number in range(20):
        found = take(budget, Lane.ANSWER, after(5 + number))
        assert isinstance(found, Budget)
        budget = found
    assert isinstance(take(budget, Lane.ANSWER, after(30)), Wait)


def test_whoever_waits_waits_until_enough_has_left_the_window() -> None:
    budget = spent(50, every_s=1)
    assert take(budget, Lane.CONCLUSION, after(50)) == Wait(after(70), is_ours=True)
    assert isinstance(take(budget, Lane.CONCLUSION, after(70)), Budget)


def test_an_hour_takes_400_and_keeps_40_of_them_for_answers() -> None:
    budget = spent(360, every_s=5)
    assert take(budget, Lane.CONCLUSION, after(1900)) == Wait(after(3600), is_ours=True)
    budget = spent(400, every_s=5)
    assert take(budget, Lane.ANSWER, after(2100)) == Wait(after(3600), is_ours=True)


def test_no_window_is_ever_overfull_whatever_is_asked_for() -> None:
    dice, budget, at = random.Random(5), Budget(), NOW
    taken: list[datetime] = []
    for _ in range(1000):
        at += timedelta(seconds=dice.choice([0, 0.01, 0.2, 1, 20]))
        found = take(budget, dice.choice(list(Lane)), at)
        if isinstance(found, Budget):
            budget = found
            taken.append(at)
    assert len(taken) > 250
    for window in WINDOWS:
        most = max(sum(one <= each < one + window.length for each in taken) for one in taken)
        assert most <= window.most[Lane.ANSWER]
    assert len(budget.taken) <= 400


def test_githubs_word_holds_for_its_lane_and_those_below_it() -> None:
    told = pause(Budget(), Lane.CONCLUSION, after(90), NOW)
    assert isinstance(take(told, Lane.ANSWER, after(1)), Budget)
    for lane in (Lane.CONCLUSION, Lane.PROGRESS):
        assert take(told, lane, after(1)) == Wait(after(90), is_ours=False)
    refused = pause(told, Lane.ANSWER, after(30), NOW)
    assert [find_wait(refused, lane, NOW) for lane in Lane] == [
        Wait(after(30), is_ours=False),
        Wait(after(90), is_ours=False),
        Wait(after(90), is_ours=False),
    ]
    assert find_wait(refused, Lane.PROGRESS, after(90)) is None


def test_a_pause_of_more_than_an_hour_is_not_believed() -> None:
    assert find_wait(pause(Budget(), Lane.ANSWER, after(99_999), NOW), Lane.ANSWER, NOW) == Wait(
        after(3600), is_ours=False
    )


@pytest.mark.parametrize(
    ("remaining", "lane"),
    [
        (5000, None),
        (500, None),
        (499, Lane.PROGRESS),
        (100, Lane.PROGRESS),
        (99, Lane.CONCLUSION),
        (0, Lane.CONCLUSION),
    ],
)
def test_what_is_left_of_githubs_limit_decides_who_goes_on(remaining: int, lane: Lane | None) -> None:
    assert lane_to_spare(remaining, 5000) is lane


def test_a_page_is_told_while_conclusions_wait() -> None:
    def seen(budget: Budget, at: datetime) -> Spending:
        return Spending(installation_id=InstallationId(5), account="acme", budget=budget, at=at)

    assert seen(spent(39), after(10)).throttled is None
    assert seen(spent(40), after(10)).throttled == Wait(after(60), is_ours=True)
    assert (seen(spent(40), after(10)).written, seen(spent(40), after(62)).written) == (40, 19)
