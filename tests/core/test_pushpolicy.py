"""The default push policy: its table, globs by their meaning, equal to a naive reading, and fast."""

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcmatch import glob as wcglob

from app.core.decision import PushInput, Verdict
from app.core.globs import compile_glob
from app.core.pushpolicy import AffectedIndex, default_policy, index_of


def asked(
    *files: str, root: str = "infra/net", globs: tuple[str, ...] = (), branch: str = "main", tag: str = ""
) -> PushInput:
    return PushInput(
        branch=branch,
        tag=tag,
        affected_files=files,
        project_root=root,
        additional_project_globs=globs,
        stack_branch="main",
    )


@pytest.mark.parametrize(
    ("question", "verdict", "reason", "rules"),
    [
        (asked("infra/net/a.tf"), "track", "infra/net/a.tf changed", "TT-"),
        (asked("README.md", "infra/net/a.tf"), "track", "infra/net/a.tf changed", "TT-"),
        (asked("infra/net"), "track", "infra/net changed", "TT-"),
        (asked("docs/a.md"), "ignore", "outside infra/net", "--T"),
        (asked("infra/network2/a.tf"), "ignore", "outside infra/net", "--T"),
        (asked("infra/net.tf"), "ignore", "outside infra/net", "--T"),
        (asked("a.tf", root="infra/net/"), "ignore", "outside infra/net", "--T"),
        (asked("x", globs=("modules/**",)), "ignore", "outside infra/net and its additional globs", "--T"),
        (
            asked("modules/vpc/a.tf", globs=("modules/**",)),
            "track",
            "modules/vpc/a.tf changed, which modules/** matches",
            "TT-",
        ),
        (
            asked("modules/vpc/a.tf", globs=("modules/*",)),
            "ignore",
            "outside infra/net and its additional globs",
            "--T",
        ),
        (asked("any", root=""), "track", "any changed", "TT-"),
        (asked(root=""), "ignore", "no file changed", "--T"),
        (
            asked("infra/net/a.tf", branch="dev"),
            "propose",
            "infra/net/a.tf changed; branch dev is not the tracked branch main",
            "-T-",
        ),
        (asked("docs/a.md", branch="dev"), "ignore", "outside infra/net", "--T"),
        (asked("infra/net/a.tf", branch="", tag="v1"), "ignore", "tag v1 ignored: no policy tracks tags", "-TT"),
        (asked("docs/a.md", branch="", tag="v1"), "ignore", "tag v1 ignored: no policy tracks tags", "--T"),
    ],
)
def test_the_decision_table(question: PushInput, verdict: str, reason: str, rules: str) -> None:
    answer = default_policy(question)
    assert (answer.verdict.value, answer.reason) == (verdict, reason)
    expected = [mark == "T" for mark in rules]
    assert answer.rules == dict(zip(("track", "propose", "ignore"), expected, strict=True))


def test_when_it_is_not_known_what_changed_everything_counts_as_changed() -> None:
    question = PushInput(
        branch="main",
        tag="",
        affected_files=None,
        project_root="infra/net",
        additional_project_globs=(),
        stack_branch="main",
    )
    answer = default_policy(question)
    assert answer.verdict is Verdict.TRACK
    assert answer.reason == "what changed is not known: everything counts as changed"


def test_a_push_of_nothing_to_no_branch_tracks_nothing() -> None:
    question = PushInput(
        branch="", tag="", affected_files=None, project_root="", additional_project_globs=(), stack_branch=""
    )
    assert default_policy(question).verdict is not Verdict.TRACK


@pytest.mark.parametrize(
    ("glob", "matching", "other"),
    [
        ("modules/**", ["modules/a", "modules/a/b/c.tf", "modules/.hidden"], ["modules2/a", "x/modules/a"]),
        ("modules/*", ["modules/a", "modules/.a"], ["modules/a/b", "modules"]),
        ("**/*.tf", ["a.tf", "a/b/c.tf"], ["a.tfvars", "a.tf/b"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["a/b/zz", "z"]),
        ("a/**/b/**/c", ["a/b/c", "a/x/b/y/b/z/c"], ["a/c", "a/b"]),
        ("env/{dev,prod}.tfvars", ["env/dev.tfvars", "env/prod.tfvars"], ["env/test.tfvars"]),
        ("{a/b,c}/*.tf", ["a/b/x.tf", "c/x.tf"], ["a/x.tf"]),
        ("v[0-9]/?.tf", ["v1/a.tf"], ["vx/a.tf", "v1/ab.tf"]),
        ("v[^0-9]/x", ["va/x"], ["v1/x"]),
        ("*a*b", ["xaxb", "ab"], ["ba", "a/b"]),
        ("a**b/c", ["axxb/c", "ab/c"], ["a/b/c"]),
        ("**", ["a", "a/b"], []),
        ("Größe/*", ["Größe/ä"], ["Grosse/ä"]),
    ],
)
def test_a_glob_means(glob: str, matching: list[str], other: list[str]) -> None:
    compiled = compile_glob(glob)
    assert [path for path in matching if not any(each.matches(path) for each in compiled)] == []
    assert [path for path in other if any(each.matches(path) for each in compiled)] == []


@pytest.mark.parametrize(
    ("glob", "problem"),
    [
        ("", "it is empty"),
        ("/a", "begins with a slash"),
        ("a/", "names a folder"),
        ("a/../b", r"a `\.` or `\.\.` segment"),
        ("a//b", "an empty segment"),
        ("a\\*", "backslashes mean nothing"),
        ("a[b", "without its"),
        ("a\n", "a control character"),
        ("x" * 501, "longer than 500"),
        ("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", "more than 100 globs"),
        ("{a,..}/b", "segment"),
    ],
)
def test_a_text_that_is_no_glob_says_why(glob: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        compile_glob(glob)


def naive(pattern: list[str], path: list[str]) -> bool:
    """The meaning of a glob, word by word, without any care for time."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(naive(pattern[1:], path[at:]) for at in range(len(path) + 1))
    return bool(path) and fnmatch.fnmatchcase(path[0], pattern[0]) and naive(pattern[1:], path[1:])


SEGMENT = st.text(alphabet="ab.", min_size=1, max_size=3).filter(lambda text: text not in (".", ".."))
PATH = st.lists(SEGMENT, min_size=1, max_size=5).map("/".join)
PIECE = st.one_of(st.just("**"), st.text(alphabet="ab*?.", min_size=1, max_size=4)).filter(
    lambda text: text not in (".", "..") and (text == "**" or "**" not in text)
)
GLOB = st.lists(PIECE, min_size=1, max_size=4).map("/".join)


@given(GLOB, PATH)
def test_a_glob_matches_exactly_what_the_naive_reading_and_a_known_library_match(glob: str, path: str) -> None:
    found = any(each.matches(path) for each in compile_glob(glob))
    assert found is naive(glob.split("/"), path.split("/"))
    if not glob.endswith("**"):  # where the library wants a slash before a closing `**`, and doublestar does not
        assert found is bool(wcglob.globmatch(path, glob, flags=wcglob.GLOBSTAR | wcglob.DOTGLOB | wcglob.FORCEUNIX))


@given(st.lists(PATH, max_size=6), st.one_of(st.just(""), PATH), st.lists(GLOB, max_size=3))
def test_the_policy_is_equal_to_a_naive_one(files: list[str], root: str, globs: list[str]) -> None:
    expected = any(
        not root
        or path.split("/")[: len(root.split("/"))] == root.split("/")
        or any(naive(glob.split("/"), path.split("/")) for glob in globs)
        for path in files
    )
    answer = default_policy(asked(*files, root=root, globs=tuple(globs)))
    assert answer.verdict is (Verdict.TRACK if expected else Verdict.IGNORE)


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*a" * 100 + "b", "a" * 4000),
        ("**/" * 100 + "b", "a/" * 2000 + "a"),
        ("**/*a*a*a*a*/" * 20 + "b", ("a" * 40 + "/") * 90 + "a"),
        ("[ab]*" * 90 + "c", "ab" * 2000),
    ],
)
def test_a_hostile_glob_meets_a_hostile_path_and_ends_at_once(glob: str, path: str) -> None:
    began = time.process_time()
    assert not any(each.matches(path) for each in compile_glob(glob))
    assert time.process_time() - began < 0.5


def test_a_glob_that_slipped_through_counts_as_matching_so_that_no_change_is_missed() -> None:
    assert default_policy(asked("x", globs=("a[",))).verdict is Verdict.TRACK
    assert default_policy(asked("x", globs=("y/a[",))).verdict is Verdict.IGNORE


def test_ten_thousand_stacks_are_decided_in_a_blink() -> None:
    files = tuple(f"infra/team-{at % 50}/stack-{at}/main.tf" for at in range(200))
    questions = [
        asked(*files, root=f"infra/team-{at % 50}/stack-{at}", globs=(f"modules/m-{at}/**", "shared/**"))
        for at in range(10_000)
    ]
    index = AffectedIndex(files)
    began = time.process_time()
    verdicts = [default_policy(question, index).verdict for question in questions]
    took = time.process_time() - began
    assert verdicts.count(Verdict.TRACK) == 200
    assert took < 0.5, f"{took * 1000:.0f} ms"


def test_an_index_is_made_once_for_a_push() -> None:
    files = ("a", "b")
    assert index_of(files) is index_of(("a", "b"))
