"""Mistakes in a configuration, as a person meets them: on the commit that brought them, with place and way out."""

import pytest

from tests.driver import World

STACKS = """version: 1
stacks:
  - {name: app, project_root: app}
policies:
  - {name: mine, type: push, path: mine.rego, attach: [app]}
"""
GOOD = "package trackside\n\nignore := true\n"
MANY = "version: 1\nstacks:\n" + "".join(
    f"  - {{name: s{number}, project_root: s{number}}}\n" for number in range(4_999)
)
MISTAKES: dict[str, tuple[dict[str, str | None], tuple[str, ...]]] = {
    "5,000 stacks and one mistake": (
        {".trackside/stacks.yml": MANY + "  - {name: s17, project_root: last}\n"},
        ("1 problem in .trackside/stacks.yml", "line 5002", "two stacks are called `s17`", "change one of them"),
    ),
    "two policies of one name": (
        {".trackside/stacks.yml": STACKS + "  - {name: mine, type: push, path: mine.rego, attach: [app]}\n"},
        ("1 problem in .trackside/stacks.yml", "line 6", "two policies are called `mine`", "change one of them"),
    ),
    "a rule of the wrong type": (
        {"mine.rego": 'package trackside\n\n\ntrack contains "yes" if true\n'},
        ("mine.rego", "line 4", "rule track of a push policy is true or false: `track if { … }`; here it is a set"),
    ),
    "a policy that is not there": (
        {"mine.rego": None},
        ("1 problem in .trackside/stacks.yml", "line 5", "mine.rego"),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_has_its_place_and_a_way_out_and_what_was_good_stays(world: World, name: str) -> None:
    """The push that brings it is decided as before it, and says so."""
    changes, words = MISTAKES[name]
    repo = world.repository({".trackside/stacks.yml": STACKS, "mine.rego": GOOD, "app/main.tf": "# a\n"})
    world.settle()
    sha = world.push(repo, changes | {"app/main.tf": "# b\n"}, "A mistake")
    check = world.expect_check(repo, sha, "config", "failure")
    told = "\n".join([check.title or "", check.summary or "", check.text or ""])
    for each in (*words, "The last valid version stays in force."):
        assert each in told, told[:2000]
    assert world.decision(sha, "app")[:2] == ("ignore", "policy mine said ignore (line 3)")
    assert world.sql("SELECT is_valid FROM config_versions ORDER BY seq") == [(True,), (False,)]
