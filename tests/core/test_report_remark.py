"""What plan policies and the engine say of a plan, in paragraphs."""

from inline_snapshot import snapshot

from app.core.plan import Remark
from app.core.report_remark import MAX_ROWS, policy_lines, remark_lines


def test_denials_come_before_warnings_each_with_its_policy() -> None:
    denials = [("no-destroys", "terraform_data.db must stay"), ("freeze", "not on Friday, @alice")]
    assert "\n\n".join(policy_lines(denials, [("cost", "12 % more")])) == snapshot("""\
**Plan policies denied 2 times.**

- 🛑 `no-destroys`: `terraform_data.db must stay`
- 🛑 `freeze`: `not on Friday, @alice`

**Plan policies warned once.**

- ⚠️ `cost`: `12 % more`\
""")
    assert policy_lines((), ()) == ()


def test_warnings_of_the_engine_say_where() -> None:
    remarks = (
        Remark(summary="Check failed", detail="It is\n\nnot healthy.", address="check.up", path="main.tf", line=12),
        Remark(summary="Deprecated"),
    )
    assert "\n\n".join(remark_lines(remarks, 3)) == snapshot("""\
**The engine has 5 warnings.**

- `Check failed` at `main.tf:12`, `check.up`

  ```
  It is
  
  not healthy.
  ```

- `Deprecated`
- and 3 more\
""")  # noqa: W293 - a line of the code block
    assert remark_lines(()) == ()


def test_what_does_not_fit_is_counted() -> None:
    many = [("p", "x" * 400)] * 200
    (head, rows) = policy_lines(many, ())
    assert head == "**Plan policies denied 200 times.**"
    assert rows.endswith(f"- and {200 - rows.count('🛑')} more")
    (_, rows) = remark_lines([Remark(summary="x")] * 70)
    assert rows.endswith(f"- and {70 - MAX_ROWS} more")
