"""Version constraints mean what they mean to terraform and tofu."""

import pytest

from app.engine.version import is_exact, newest, pinned, satisfies, unreadable_term, version_key


@pytest.mark.parametrize(
    ("constraint", "version", "is_met"),
    [
        ("", "1.11.4", True),
        ("1.11.4", "1.11.4", True),
        ("= 1.11.4", "1.11.5", False),
        ("~> 1.9", "1.11.4", True),
        ("~> 1.9", "2.0.0", False),
        ("~> 1.9.2", "1.9.8", True),
        ("~> 1.9.2", "1.10.0", False),
        (">= 1.9, < 1.12", "1.11.4", True),
        (">= 1.9, < 1.11", "1.11.4", False),
        (">=1.9,!=1.11.4", "1.11.4", False),
        ("> 1.11.4", "1.11.4", False),
        ("<= v1.11.4", "1.11.4", True),
        (">= 1.9", "1.12.0-rc1", False),
        ("1.12.0-rc1", "1.12.0-rc1", True),
        (">= 1.12.0-beta1", "1.12.0-rc1", True),
        (">= 1.12.0-beta1", "1.13.0-rc1", False),
        ("!= 1.9.3", "1.9.4", True),
        ("~> 1.9, latest", "1.9.4", False),
        ("~> 1.9", "nonsense", False),
    ],
)
def test_constraints_mean_what_they_mean_to_terraform(constraint: str, version: str, is_met: bool) -> None:
    assert satisfies(version, constraint) is is_met


def test_the_newest_is_by_number_and_never_a_prerelease_unless_asked() -> None:
    versions = ["1.9.8", "1.10.0", "1.11.0-rc10", "1.11.0-rc9", "1.2.0"]
    assert newest(versions, "") == "1.10.0"
    assert newest(versions, "~> 1.9.0") == "1.9.8"
    assert newest(versions, ">= 1.11.0-rc1") == "1.11.0-rc10"
    assert newest(versions, "> 2") == ""
    ordered = ["1.2.0", "1.9.8", "1.10.0", "1.11.0-beta2", "1.11.0-rc9", "1.11.0-rc10", "1.11.0"]
    shuffled = ["1.11.0", "1.2.0", "1.11.0-rc10", "1.10.0", "1.11.0-rc9", "1.11.0-beta2", "1.9.8"]
    assert sorted(shuffled, key=version_key) == ordered


def test_a_constraint_that_names_one_version_leaves_no_choice() -> None:
    assert [pinned(text) for text in ("1.9.8", "= 1.9.8", "v1.9.8", "1.9", "~> 1.9.8", "1.9.8, 1.9.9", "")] == [
        *["1.9.8"] * 3,
        *[""] * 4,
    ]


def test_what_cannot_be_read_is_named() -> None:
    assert unreadable_term("~> 1.9, newest") == "newest"
    assert unreadable_term(",".join(["1.0.0"] * 201)) == "1.0.0", "bounded"
    assert unreadable_term("") == ""


@pytest.mark.parametrize("text", ["1.9", "1.9.8/..", "../1.9.8", "1.9.8-..", "v1.9.8", "1.9.8 ", "", "١.9.8"])
def test_only_whole_versions_become_paths(text: str) -> None:
    assert not is_exact(text)
