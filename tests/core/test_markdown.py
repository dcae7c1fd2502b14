"""The tools that put foreign words into Markdown."""

import pytest

from app.core.markdown import code, cut, fence, sentence, tail, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "`plain`"),
        ("", "` `"),
        ("a`b", "``a`b``"),
        ("`", "`` ` ``"),
        (" a ", "`  a  `"),
        ("a\nb", "`a\\nb`"),
        ("\u202e", "`\\u202e`"),
        ("x" * 400, "`" + "x" * 299 + "…`"),
    ],
)
def test_code(text: str, shown: str) -> None:
    assert code(text) == shown


def test_fences_are_longer_than_what_they_hold_and_never_empty() -> None:
    assert fence("a") == "```\na\n```"
    assert fence("````") == "`````\n````\n`````"
    assert fence(" \n ") == ""


def test_visible_cut_tail_and_sentence() -> None:
    assert visible("a\tb\nc\u2066\U000e0041\ud800é日") == "a\\tb\\nc\\u2066\\U000e0041\\ud800é日"
    assert visible("a\r\n\tb", keep_lines=True) == "a\n    b"
    assert (cut("abc", 3), cut("abcd", 3)) == ("abc", "ab…")
    assert tail("abcdef", 3) == "… the beginning of 6 characters is left out\ndef"
    assert tail("abc", 4) == "abc"
    assert sentence("unknown key `x`: see line 3") == "unknown key `x`: see line 3"
    assert sentence("hello @alice") == "`hello @alice`"
    assert sentence("see www.example.com") == "`see www.example.com`"
    assert sentence("odd ` tick") == "``odd ` tick``"
