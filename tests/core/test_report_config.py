"""Checks without a run: the configuration, and a push that could not be decided."""

from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from app.core.config import read_configuration, suggest_configuration
from app.core.reply import Conclusion
from app.core.report import (
    ConfigView,
    config_report,
    failed_decision_report,
)
from app.core.stack import Problem
from tests.core.inert import SHA, WORDS, assert_inert, seen


def test_the_config_check_lists_every_problem() -> None:
    text = b"version: 1\nstacks:\n  - name: network\n    projectroot: x\n    '@alice `#1`': x\n"
    found = read_configuration(text, default_branch="main")
    assert isinstance(found, tuple)
    report = config_report(ConfigView(head_sha=SHA, problems=found, has_last_good=True))
    assert (report.name, report.external_id) == ("config", f"config/{SHA}")
    assert seen(report) == ("completed", "failure", "2 problems in .trackside/stacks.yml")
    assert report.summary == "`.trackside/stacks.yml` is not valid. The last valid version stays in force."
    assert report.text == snapshot("""\
- **line 4**: unknown key `projectroot`: did you mean `project_root`?
- **line 5**: unknown key `@alice ?#1?`: take it away\
""")
    assert_inert(report)


@given(st.lists(st.tuples(WORDS, WORDS), max_size=90), WORDS)
def test_no_word_of_a_problem_or_a_suggestion_does_anything(words: list[tuple[str, str]], suggestion: str) -> None:
    problems = tuple(Problem(line=1, message=message, remedy=remedy) for message, remedy in words)
    assert_inert(config_report(ConfigView(head_sha=SHA, problems=problems)))
    assert_inert(config_report(ConfigView(head_sha=SHA, suggestion=suggestion)))
    assert_inert(config_report(ConfigView(head_sha=SHA, suggestion=suggestion * 4000, new_file_url="javascript:x")))
    assert_inert(failed_decision_report("network", SHA, suggestion))


def test_a_valid_file_is_a_success_and_a_missing_one_is_offered() -> None:
    valid = config_report(ConfigView(head_sha=SHA, stack_names=("network", "dns")))
    assert seen(valid) == ("completed", "success", "valid: 2 stacks")
    url = "https://github.com/acme/infra/new/main?filename=.trackside%2Fstacks.yml&value=version"
    view = ConfigView(head_sha=SHA, suggestion=suggest_configuration(["main.tf"]), new_file_url=url)
    missing = config_report(view)
    assert missing.conclusion is Conclusion.NEUTRAL
    assert missing.summary == snapshot("""\
This repository has Terraform files, but no `.trackside/stacks.yml`: nothing is tracked yet.

[Make it on GitHub](<https://github.com/acme/infra/new/main?filename=.trackside%2Fstacks.yml&value=version>), filled in with the stacks that were found.\
""")  # noqa: E501 - a sentence as it is said
    assert missing.text == snapshot("""\
### Suggested `.trackside/stacks.yml`

```yaml
# What Trackside may run in this repository. Every folder below looked like a Terraform root.
version: 1
stacks:
  - name: main
```\
""")


def test_a_push_that_could_not_be_decided_is_visible() -> None:
    report = failed_decision_report("network", SHA, "policy only-tags: timed out after 10 s")
    assert report.name == "deploy/network"
    assert seen(report) == ("completed", "failure", "not decided: nothing was started")
    assert report.summary == snapshot("""\
What this push means for the stack could not be decided. Closed by default: no run was made.

```
policy only-tags: timed out after 10 s
```

Mend what is named above and push again.\
""")
