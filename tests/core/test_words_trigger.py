"""What a check says of the runs that its end triggers: every line is inert, and what does not fit is counted."""

from app.core.trigger import Triggered
from app.core.words_trigger import MAX_LIST_BYTES, triggered_lines


def test_a_long_list_leaves_room_for_the_rest_of_the_check_and_counts_what_it_leaves_out() -> None:
    told = [Triggered(policy="next", stack=f"{at:03}" + "x" * 90, reason="the stack is detached") for at in range(600)]
    head, listed = triggered_lines(told)
    rows = listed.split("\n")
    assert head == "**What its end triggers**"
    assert rows[0].startswith("- `000xxx")
    assert rows[-1] == f"- and {600 - len(rows) + 1:,} more"
    assert len(listed.encode()) < MAX_LIST_BYTES + 50


def test_what_a_policy_asked_for_is_code() -> None:
    (_, line) = triggered_lines([Triggered(policy="next", stack="`@ada` [x](//evil)\n# no", reason="**bold** @ada")])
    assert line == "- `` `@ada` [x](//evil)\\n# no ``: no run (`**bold** @ada`), by policy `next`"
