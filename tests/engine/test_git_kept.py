"""What is remembered of a mirror's commits, told as sentences."""

from app.engine.git_kept import KeptCommits

ONE, TWO, THREE = "1" * 40, "2" * 40, "3" * 40


def test_what_was_seen_is_known_of_that_making_alone() -> None:
    kept = KeptCommits()
    kept.remember("first", [ONE, TWO])
    assert kept.unknown("first", [THREE, ONE, TWO]) == [THREE]
    assert kept.unknown("second", [ONE]) == [ONE]


def test_a_mirror_without_a_name_is_never_known() -> None:
    kept = KeptCommits()
    kept.remember("", [ONE])
    assert kept.unknown("", [ONE]) == [ONE]


def test_what_was_longest_not_asked_for_is_forgotten_first() -> None:
    kept = KeptCommits(limit=2)
    kept.remember("m", [ONE, TWO])
    kept.unknown("m", [ONE])
    kept.remember("m", [THREE])
    assert kept.unknown("m", [ONE, TWO, THREE]) == [TWO]
