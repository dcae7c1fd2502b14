"""stacks.yml: what it may say, and what is said about every mistake."""

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from app.core.config import json_schema, read_configuration, suggest_configuration
from app.core.stack import (
    MAX_CONFIG_BYTES,
    Comments,
    Configuration,
    ConfirmRules,
    Permission,
    PolicySpec,
    Problem,
    StackSettings,
    StackSpec,
    StateMode,
    Tool,
    settings_from_json,
)

FULL = """\
version: 1
stacks:
  - name: network                     # unique in the repository
    id: acme-network
    renamed_from: net
    project_root: ./infra/network/
    branch: release
    additional_project_globs: ["modules/**"]
    labels: [prod]
    tool: opentofu
    version: "~> 1.9"
    workspace: blue
    var_files: [env/prod.tfvars]
    backend_config: [env/prod.backend]
    state: managed
    autodeploy: true
    environment:
      TF_VAR_region: eu-west-1
      ro_AWS_PROFILE: reader
      wo_AWS_PROFILE: writer
    confirm: {permission: admin}
    github_environment: production
    worker_pool: gpu
    hooks: {before_init: [./prepare.sh, export A=b], after_plan: [], after_run: [./tell.sh]}
    git: {submodules: false, lfs: false}
  - name: dns
    github_environment: false
  - name: prod/app
policies:
  - {name: only-tags, type: push, path: policies/only-tags.rego, attach: [network]}
  - {name: by-label, type: push, path: policies/b.rego, attach: {labels: [prod]}, dialect: v0}
  - {name: all, type: push, path: policies/c.rego, attach: "*"}
"""


def read(text: str) -> Configuration:
    found = read_configuration(text.encode(), default_branch="main")
    assert isinstance(found, Configuration), found
    return found


def problems(text: str | bytes) -> list[str]:
    """The problems as a person reads them: `line 3: what. remedy`."""
    found = read_configuration(text if isinstance(text, bytes) else text.encode(), default_branch="main")
    assert isinstance(found, tuple)
    return [f"line {problem.line}: {problem.message} -> {problem.remedy}" for problem in found]


def stack(*lines: str) -> str:
    """A file with one stack that has these lines besides its name."""
    return "\n".join(("version: 1", "stacks:", "  - name: a", *(f"    {line}" for line in lines), ""))


def test_every_key_that_this_version_carries_out_is_read() -> None:
    network = StackSettings(
        name="network",
        project_root="infra/network",
        branch="release",
        additional_project_globs=("modules/**",),
        labels=("prod",),
        tool=Tool.OPENTOFU,
        version="~> 1.9",
        workspace="blue",
        var_files=("env/prod.tfvars",),
        backend_config=("env/prod.backend",),
        state=StateMode.MANAGED,
        autodeploy=True,
        environment={"TF_VAR_region": "eu-west-1", "ro_AWS_PROFILE": "reader", "wo_AWS_PROFILE": "writer"},
        confirm_permission=Permission.ADMIN,
        github_environment="production",
        worker_pool="gpu",
        hooks={"before_init": ("./prepare.sh", "export A=b"), "after_run": ("./tell.sh",)},
    )
    assert read(FULL) == Configuration(
        stacks=(
            StackSpec(settings=network, policy_id="acme-network", renamed_from="net", line=3),
            StackSpec(settings=StackSettings(name="dns", branch="main"), line=26),
            StackSpec(settings=StackSettings(name="prod/app", branch="main", github_environment="prod/app"), line=28),
        ),
        policies=(
            PolicySpec(
                name="only-tags", type="push", path="policies/only-tags.rego", attach_names=("network",), line=30
            ),
            PolicySpec(
                name="by-label", type="push", path="policies/b.rego", attach_labels=("prod",), dialect="v0", line=31
            ),
            PolicySpec(name="all", type="push", path="policies/c.rego", attach_all=True, line=32),
        ),
    )


def test_a_file_may_list_no_stack() -> None:
    assert read("version: 1\nstacks: []\n") == Configuration(stacks=())


def test_five_mistakes_are_five_problems_each_with_line_and_remedy() -> None:
    assert problems(
        """\
version: 1
stacks:
  - name: network
    projectroot: infra/network
    version: 1.9
    tool: tofu
  - name: network
    environment: {PATH: /bin}
    hooks: {befor_init: [./x.sh]}
    drift: {schedule: "0 25 * * *"}
policies:
  - {name: p, type: push, path: p.rego, attach: [netwrk]}
"""
    ) == snapshot(
        [
            "line 4: unknown key `projectroot` -> did you mean `project_root`?",
            "line 5: `version` must be text, not a number -> put the value in quotes",
            "line 6: `tool` must be `terraform` or `opentofu`, not `tofu` -> did you mean `opentofu`?",
            "line 7: two stacks are called `network`, the first in line 3 -> change one of them",
            "line 8: the variable `PATH` must not be set: the worker sets it -> take it away",
            "line 9: unknown key `befor_init` -> did you mean `before_init`?",
            "line 10: the schedule `0 25 * * *` has 25 as its hour -> write a number from 0 to 23",
            "line 12: the policy is attached to `netwrk`, which is no stack of this file -> did you mean `network`?",
        ]
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1: the file is empty"),
        ("# nothing\n", "line 1: the file is empty"),
        (b"version: 1\n\xff", "line 2: the file is not UTF-8"),
        (b"version: 1\n\n\x01", "line 3: the character `\\u0001` is not allowed"),
        (b"x" * (MAX_CONFIG_BYTES + 1), "line 1: the file is larger than 1,048,576 bytes"),
        ("version: 1\nstacks: [", "line 3: not valid YAML"),
        ("version: 1\nstacks:\n\t- name: a", "line 3: not valid YAML"),
        ("- 1\n", "line 1: the file must be a mapping, not a list"),
        ("stacks: []\n", "line 1: the key `version` is missing -> begin the file with `version: 1`"),
        ("version: 1\n", "line 1: the key `stacks` is missing"),
        ("version: 2\nstacks: []", "line 1: `version` must be the number 1, not `2`"),
        ("version: true\nstacks: []", "line 1: `version` must be the number 1"),
        ("version: '1'\nstacks: []", "line 1: `version` must be the number 1, not the text `1`"),
        ("version: 1.0\nstacks: []", "line 1: `version` must be the number 1"),
        ("version: 1\nstacks:\n", "line 2: `stacks` must be a list, not nothing"),
        ("version: 1\nstacks: [5]", "line 2: an entry of `stacks` must be a mapping, not a number"),
        ("version: 1\nstacks: []\nversion: 1\n", "line 3: the key `version` stands here twice, first in line 1"),
        ("version: 1\nstacks: &a []\nx: *a\n", "line 3: the alias `*a` is not read"),
        ("version: 1\nstacks: []\n---\nversion: 1\n", "line 3: a second document begins here"),
        ("version: 1\nstacks: " + "[" * 20, "line 2: it is nested deeper than 16 levels"),
        ("version: 1\nstacks: !!python/object:os.system []\n", "line 2: the tag"),
        ("? [a]\n: 1\n", "line 1: a key must be a word"),
        (stack("name: b"), "line 4: the key `name` stands here twice, first in line 3"),
        ("version: 1\nstacks:\n  - project_root: a\n", "line 3: the key `name` is missing"),
        (stack("project_root: ../x"), "line 4: `project_root`: the path `../x` leaves the repository"),
        (stack("project_root: /x"), "line 4: `project_root`: the path `/x` is absolute"),
        (stack("project_root: 'C:/x'"), "line 4: `project_root`: the path `C:/x` is absolute"),
        (stack("project_root: a/.git/x"), "line 4: `project_root`: the path `a/.git/x` cannot be used"),
        (stack("branch: refs//x"), "line 4: `refs//x` is no name of a branch"),
        (stack("branch: refs/heads/main"), "line 4: `refs/heads/main` is no name of a branch -> try `main`, without"),
        (stack("branch: on"), "line 4: `branch` must be text, not true or false -> put the value in quotes"),
        (stack("branch: -x"), "line 4: `-x` is no name of a branch"),
        (stack("branch: a..b"), "line 4: `a..b` is no name of a branch"),
        (
            stack("additional_project_globs: [/a]"),
            "line 4: an entry of `additional_project_globs`: the glob `/a` cannot be used: it begins with a slash",
        ),
        (
            stack("additional_project_globs:", "  - a/**", "  - a["),
            "line 6: an entry of `additional_project_globs`: the glob `a[` cannot be used",
        ),
        (stack("additional_project_globs: modules/**"), "line 4: `additional_project_globs` must be a list, not text"),
        (stack(f"labels: [{', '.join(['x'] * 101)}]"), "line 4: `labels` has too many entries: at most 100"),
        (stack("labels: ['']"), "line 4: an entry of `labels`: the label `` does not fit"),
        (stack("version: '1.0; rm'"), "line 4: `1.0; rm` is no version constraint"),
        (stack("environment: {ro_: x}"), "line 4: `ro_` is no name of a variable: `ro_` is taken off"),
        (stack("environment: {wo_1: x}"), "line 4: `wo_1` is no name of a variable: `wo_` is taken off"),
        (stack('environment: {A: "\\0"}'), "line 4: `A`: the value has a NUL, which no variable can hold"),
        (stack("version: newest"), "line 4: `newest` is no version constraint"),
        (stack("version: '~> 1.9, 2.x'"), "line 4: `~> 1.9, 2.x` is no version constraint"),
        (stack("hooks: {before_init: ['']}"), "line 4: an entry of `before_init`: a hook is 1 to 8,192 characters"),
        (stack("workspace: a b"), "line 4: `a b` is no name of a workspace"),
        (
            stack("var_files: [../x.tfvars]"),
            "line 4: an entry of `var_files`: the path `../x.tfvars` leaves the repository",
        ),
        (stack("var_files: [a/]"), "line 4: an entry of `var_files`: `a/` names no file"),
        (
            stack("backend_config: [key=secret]"),
            "line 4: an entry of `backend_config`: `key=secret` is a setting, not a file",
        ),
        (stack("state: local"), "line 4: `state` must be `managed` or `external`, not `local`"),
        (stack("autodeploy: 'yes'"), "line 4: `autodeploy` must be true or false, not text"),
        (stack("environment: {A: 3}"), "line 4: `A` must be text, not a number -> put the value in quotes"),
        (stack("environment: {A: {secret: 1B}}"), "line 4: `A`: `1B` is no name of a secret"),
        (stack("environment: {A: {secrets: B}}"), "line 4: `A`: a value that is a mapping is `{secret: NAME}`"),
        (stack("environment: {A: {secret: B, or: C}}"), "line 4: `A`: a value that is a mapping is `{secret: NAME}`"),
        (stack("environment: {wo_TF_VAR_a: {secret: B}}"), "line 4: `wo_TF_VAR_a` would do nothing"),
        (stack("environment: {TRACKSIDE_OIDC_TOKEN_FILE: x}"), "line 4: the variable `TRACKSIDE_OIDC_TOKEN_FILE` must"),
        (stack("oidc: {audience: [a b]}"), "line 4: `a b` is no audience"),
        (stack("oidc: {audiences: [a]}"), "line 4: unknown key `audiences`"),
        (stack("environment: {A-B: x}"), "line 4: `A-B` is no name of a variable"),
        (stack("environment: {A: x, ro_A: y}"), "line 4: `A` reaches every phase already, so `ro_A` contradicts it"),
        (stack("confirm: {permission: read}"), "line 4: `permission` must be `write` or `admin`, not `read`"),
        (
            stack("confirm: {teams: [acme/Plat Form]}"),
            "line 4: an entry of `teams`: `acme/Plat Form` is no team of this repository's owner: a team is named as",
        ),
        (stack("confirm: {roles: ['']}"), "line 4: an entry of `roles`: `` is no name of a role"),
        (stack("confirm: {not_author: 1}"), "line 4: `not_author` must be true or false"),
        (stack("confirm: {permision: write}"), "line 4: unknown key `permision` -> did you mean `permission`?"),
        (stack("github_environment: true"), "line 4: `github_environment` is a name, or false"),
        (stack("git: {submodules: all}"), "line 4: `submodules` must be true or false"),
        (stack("depends_on: [{stack: b}]"), "line 4: `b` is no stack of this file; dependencies are between stacks"),
        (stack("depends_on: [{stack: a}]"), "line 4: `a` depends on itself"),
        (stack("depends_on: [{stak: a}]"), "line 4: unknown key `stak` -> did you mean `stack`?"),
        (stack("drift: {reconcile: true}"), "line 4: the key `schedule` is missing -> say when"),
        (stack("drift: true"), "line 4: `drift` must be a mapping, not true or false"),
        (stack("drift: {schedule: 6}"), "line 4: `schedule` is a text of five fields, or a list of 1 to 8 of them"),
        (stack("drift: {schedule: []}"), "line 4: `schedule` is a text of five fields, or a list of 1 to 8 of them"),
        (stack("drift: {schedule: '0 0 31 2 *'}"), "line 4: the schedule `0 0 31 2 *` names a day that never comes"),
        (
            stack("drift: {schedule: '* 6 * * *'}"),
            "line 4: the schedule `* 6 * * *` comes more often than every 15 min",
        ),
        (
            stack("drift: {schedule: ['0 6 * * *', '5 6 * * mon']}"),
            "line 4: moments of one schedule are too close to those of another",
        ),
        (
            stack("drift: {schedule: '0 6 * * *', timezone: Europe/Berlni}"),
            "line 4: `timezone`: `Europe/Berlni` is no time zone -> did you mean",
        ),
        (
            stack("drift: {schedule: '0 6 * * *', reconsile: true}"),
            "line 4: unknown key `reconsile` -> did you mean `reconcile`?",
        ),
        (stack("id: 'a b'"), "line 4: the id `a b` does not fit"),
        (stack("renamed_from: a"), "line 4: `a` is still a stack of this file"),
        (stack("Name: x"), "line 4: unknown key `Name` -> did you mean `name`?"),
        ("version: 1\nstacks:\n  - name: Network Prod", "line 3: the name `Network Prod` does not fit"),
        ("version: 1\nstacks: []\npolices: []", "line 3: unknown key `polices` -> did you mean `policies`?"),
        (
            "version: 1\nstacks: []\npolicies: [{name: p, type: pusch, path: a, attach: '*'}]",
            "line 3: `type` must be `push`, `plan`, `approval`, `trigger` or `notification`, not `pusch`",
        ),
        (
            "version: 1\nstacks: []\npolicies: [{name: p, type: push, path: a, attach: []}]",
            "line 3: `attach` has none of its three forms",
        ),
        (
            "version: 1\nstacks: [{name: a, comments: change}]",
            "line 2: `comments` must be `on`, `off` or `changes`, not `change` -> did you mean `changes`?",
        ),
        (
            "version: 1\nstacks: []\npolicies: [{name: p, type: push, path: ../a, attach: '*'}]",
            "line 3: the path `../a` leaves the repository",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str | bytes, expected: str) -> None:
    assert any(found.startswith(expected) for found in problems(text)), problems(text)


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOME",
        "LD_PRELOAD",
        "DYLD_INSERT_LIBRARIES",
        "TF_CLI_ARGS",
        "TF_CLI_ARGS_plan",
        "TF_CLI_CONFIG_FILE",
        "TF_DATA_DIR",
        "TF_HTTP_PASSWORD",
        "TF_LOG",
        "TF_LOG_PATH",
        "TF_WORKSPACE",
        "TF_REATTACH_PROVIDERS",
        "GIT_SSH_COMMAND",
        "wo_TF_VAR_x",
    ],
)
@pytest.mark.parametrize("prefix", ["", "ro_", "wo_"])
def test_a_variable_that_would_reach_behind_the_plan_is_refused_with_any_prefix(name: str, prefix: str) -> None:
    if name.startswith("wo_") and prefix:
        return
    [found] = problems(stack(f"environment: {{{prefix}{name}: x}}"))
    assert found.startswith("line 4: ")


@pytest.mark.parametrize(
    "name", ["TF_VAR_x", "ro_TF_VAR_x", "AWS_PROFILE", "wo_AWS_PROFILE", "path", "TF_TOKEN_example_com"]
)
def test_an_ordinary_variable_is_accepted(name: str) -> None:
    assert read(stack(f"environment: {{{name}: x}}")).stacks[0].settings.environment == {name: "x"}


@pytest.mark.parametrize("name", ["a", "prod/network", "a_b-c.d", "a--b", "0", "x" * 80])
def test_a_name_that_fits_check_and_command_is_accepted(name: str) -> None:
    assert read(f"version: 1\nstacks: [{{name: '{name}'}}]").stacks[0].settings.name == name


@pytest.mark.parametrize(
    "name", ["", "A", "-a", "a-", "a//b", "a..b", "a/../b", "ä", "a b", "a\\n", "`", "x" * 81, "../a"]
)
def test_a_name_that_does_not_is_refused(name: str) -> None:
    assert problems(f'version: 1\nstacks: [{{name: "{name}"}}]')[0].startswith("line 2: the name")


def test_two_stacks_cannot_share_an_id_or_a_past() -> None:
    text = "version: 1\nstacks:\n- {name: a, id: x, renamed_from: o}\n- {name: b, id: x, renamed_from: o}\n"
    assert problems(text) == snapshot(
        [
            "line 4: two stacks have the id `x`, the first in line 3 -> change one of them",
            "line 4: two stacks were renamed from `o`, the first in line 3 -> change one of them",
        ]
    )


def test_a_full_file_is_read_in_time() -> None:
    text = "version: 1\nstacks:\n" + "".join(f"- {{name: s-{at}, project_root: infra/{at}}}\n" for at in range(10_000))
    began = time.process_time()
    assert len(read(text).stacks) == 10_000
    assert time.process_time() - began < 10


YAML = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(
                    ["version", "stacks", "policies", "name", "environment", "attach", "confirm", "git", "labels"]
                ),
                st.text(max_size=5),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(
    st.one_of(
        st.binary(max_size=200), st.text(max_size=200).map(str.encode), YAML.map(lambda v: json.dumps(v).encode())
    )
)
def test_no_file_breaks_the_reading_and_every_problem_can_be_shown(text: bytes) -> None:
    found = read_configuration(text, default_branch="main")
    if isinstance(found, Configuration):
        return
    assert found
    for problem in found:
        assert problem.line >= 1
        assert problem.message
        assert problem.remedy
        assert (problem.message + problem.remedy).isprintable()


def test_the_schema_is_the_models() -> None:
    schema = json.loads(json.dumps(json_schema()))
    stack_schema = schema["$defs"]["StackModel"]
    assert schema["additionalProperties"] is False
    assert stack_schema["additionalProperties"] is False
    assert stack_schema["required"] == ["name"]
    elsewhere = {
        *("confirm_permission", "confirm_roles", "confirm_teams", "confirm_not_author"),
        *("secrets", "oidc_audience", "submodules", "lfs"),
        *("drift_schedules", "drift_timezone", "drift_reconcile", "drift_ignore_state"),
    }
    """Settings whose place in the file is another than their name."""
    assert set(StackSettings.__dataclass_fields__) - elsewhere <= set(stack_schema["properties"])
    assert all("description" in each or "$ref" in each for each in stack_schema["properties"].values())


def test_secrets_audiences_submodules_and_large_files_are_settings_of_a_stack() -> None:
    more = """
    environment: {PLAIN: "1", ro_ROLE: {secret: READER}, TF_VAR_x: {secret: x_1}}
    oidc: {audience: [sts.amazonaws.com]}
    git: {submodules: true, lfs: true}"""
    found = read_configuration(f"version: 1\nstacks:\n  - name: a{more}\n".encode(), default_branch="main")
    assert isinstance(found, Configuration)
    settings = found.stacks[0].settings
    assert settings.environment == {"PLAIN": "1"}
    assert settings.secrets == {"ro_ROLE": "READER", "TF_VAR_x": "x_1"}
    assert (settings.oidc_audience, settings.submodules, settings.lfs) == (("sts.amazonaws.com",), True, True)


def test_who_confirms_and_policies_of_plans_and_reviews_are_read() -> None:
    text = """version: 1
stacks:
  - name: a
    confirm: {permission: admin, roles: [maintain, Deploy Master], teams: [platform, platform], not_author: true}
    public_plans: true
policies:
  - {name: cost, type: plan, path: cost.rego, attach: [a]}
  - {name: eyes, type: approval, path: eyes.rego, attach: "*"}
"""
    found = read_configuration(text.encode(), default_branch="main")
    assert isinstance(found, Configuration)
    settings = found.stacks[0].settings
    assert settings.confirm_rules == ConfirmRules(
        permission=Permission.ADMIN, roles=("maintain", "Deploy Master"), teams=("platform",), not_author=True
    )
    assert settings.public_plans
    assert [policy.type for policy in found.policies] == ["plan", "approval"]


@pytest.mark.parametrize(
    ("written", "meant"), [("on", "on"), ("off", "off"), ('"off"', "off"), ("false", "off"), ("changes", "changes")]
)
def test_a_switch_for_comments_is_read_as_yaml_has_it_and_no_part_of_what_is_confirmed(
    written: str, meant: str
) -> None:
    read = read_configuration(f"version: 1\nstacks: [{{name: a, comments: {written}}}]".encode(), default_branch="main")
    assert isinstance(read, Configuration)
    settings = read.stacks[0].settings
    assert settings.comments.value == meant
    assert settings.digest() == replace(settings, comments=Comments.ON).digest()
    assert settings_from_json(settings.canonical_json()) == settings


def test_a_repository_without_the_file_is_offered_one() -> None:
    paths = ["README.md", "infra/network/main.tf", "infra/dns/main.tofu", "modules/vpc/main.tf", "examples/x/main.tf"]
    assert suggest_configuration(paths) == snapshot(
        """\
# What Trackside may run in this repository. Every folder below looked like a Terraform root.
version: 1
stacks:
  - name: dns
    project_root: infra/dns
    additional_project_globs: ["modules/**"]
  - name: network
    project_root: infra/network
    additional_project_globs: ["modules/**"]
"""
    )


def test_the_root_itself_is_offered_as_main() -> None:
    assert suggest_configuration(["main.tf"]).endswith("stacks:\n  - name: main\n")


@given(st.lists(st.lists(st.text(alphabet="aAb1.-_ äno/\"'*", min_size=1, max_size=5), max_size=3), max_size=40))
def test_whatever_is_offered_is_a_valid_file(folders: list[list[str]]) -> None:
    text = suggest_configuration(["/".join((*folder, "main.tf")) for folder in folders])
    assert isinstance(read_configuration(text.encode(), default_branch="main"), Configuration), text


def test_many_problems_are_bounded_and_in_the_order_of_the_file() -> None:
    found = read_configuration(("version: 1\nstacks:\n" + "- {}\n" * 5000).encode(), default_branch="main")
    assert isinstance(found, tuple)
    assert len(found) == 200
    assert [problem.line for problem in found] == sorted(problem.line for problem in found)
    assert found[0] == Problem(
        line=3, message="the key `name` is missing", remedy="give it a name that is unique in this file"
    )
