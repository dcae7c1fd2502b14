"""What `doctor` says, and how a finding becomes a line: one line each, bounded, without a secret."""

from app.core import words_doctor as words
from app.core.finding import Finding, Level, findings_document, has_problem, problem, warning, without
from app.core.names import Secret


def test_a_finding_is_one_line_whatever_its_text_has() -> None:
    line = problem("github", "said\nsomething\x1b[31m \u202e odd " + "x" * 5000).line
    assert line.startswith("problem  github: said something [31m odd xxx")
    assert "\x1b" not in line
    assert len(line) < 1100


def test_secrets_are_replaced_the_longest_first() -> None:
    told = without([warning("token", "it was abcdef, not abc")], [Secret("abc"), Secret("abcdef"), Secret("")])
    assert told == [warning("token", "it was ***, not ***")]


def test_warnings_alone_are_no_problem() -> None:
    found = [Finding(level=Level.OK, subject="a", text="b"), warning("c", "d")]
    assert not has_problem(found)
    assert findings_document(found)["is_fine"] is True
    assert findings_document([*found, problem("e", "f")])["is_fine"] is False


def test_clocks_are_told_by_githubs() -> None:
    assert words.clock(0.7) == "agrees with GitHub's"
    assert words.clock(90) == "90 s behind GitHub's"
    assert words.clock(-90) == "90 s ahead of GitHub's"


def test_deliveries_name_the_usual_answer_and_where_to_look() -> None:
    assert words.deliveries(0, 12, 0, 0) == "the last 12 were all taken"
    assert words.deliveries(2, 100, 0, 503) == (
        "2 of the last 100 failed (2 %), most were answered 503; each was taken in the end"
    )
    assert words.deliveries(1, 38, 0, 0) == (
        "1 of the last 38 failed (3 %), it was not answered at all; it was taken in the end"
    )
    assert "; 1 event never arrived" in words.deliveries(2, 9, 1, 500)
    assert words.deliveries(60, 100, 3, 0).endswith("3 events never arrived. Look at whether GitHub reaches PUBLIC_URL")
    assert words.deliveries(1, 1, 1, 500).endswith("Look at the log of the web process")


def test_accounts_that_are_not_served_are_named_up_to_ten() -> None:
    assert "installed on a, b, and not served" in words.not_served(["a", "b"])
    assert " and 2 more" in words.not_served([str(number) for number in range(12)])
