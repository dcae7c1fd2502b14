"""What the engine says of a plan, in paragraphs."""

from inline_snapshot import snapshot

from app.core.plan import Remark
from app.core.report_remark import MAX_ROWS, remark_lines


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
    (_, rows) = remark_lines([Remark(summary="x")] * 70)
    assert rows.endswith(f"- and {70 - MAX_ROWS} more")
