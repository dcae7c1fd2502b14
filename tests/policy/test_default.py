"""The default push policy in Rego and in Python: equal for every push that anybody thought of."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.decision import PushInput
from app.core.pushpolicy import default_policy
from app.policy.default import DEFAULT_PUSH
from app.policy.pool import OpaPool
from tests.policy.asked import told, written

SEGMENTS = st.sampled_from(["infra", "net", "network2", "modules", "vpc", "a.tf", "main.tf", "x.tfvars"])
PATHS = st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join)
GLOBS = st.sampled_from(
    ["modules/**", "modules/*", "*.tf", "**/*.tfvars", "infra/**/main.tf", "infra/*/a.tf", "net/a.t?", "**"]
)
BRANCHES = st.sampled_from(["", "main", "feature"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(PATHS, max_size=4),
    root=st.one_of(st.just(""), PATHS, PATHS.map(lambda path: f"/{path}/")),
    globs=st.lists(GLOBS, max_size=2),
    branch=BRANCHES,
    stack_branch=BRANCHES.filter(bool),
)
def test_both_decide_alike(
    pool: OpaPool, files: list[str], root: str, globs: list[str], branch: str, stack_branch: str
) -> None:
    tag = "" if branch else "v1"
    asked = PushInput(
        branch=branch,
        tag=tag,
        affected_files=tuple(files),
        project_root=root,
        additional_project_globs=tuple(globs),
        stack_branch=stack_branch,
    )
    question = {
        "push": {"branch": branch, "tag": tag, "affected_files": files},
        "pull_request": None,
        "stack": {"branch": stack_branch, "project_root": root, "additional_project_globs": globs},
    }
    said = told(pool, written(DEFAULT_PUSH), question).rules
    assert {rule: said[rule] for rule in ("track", "propose", "ignore")} == default_policy(asked).rules
