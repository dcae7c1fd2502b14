"""An organisation's stacks.yml: what it may say, what is said about every mistake, and what it makes of a stack."""

import json

import pytest

from app.core.config import read_configuration
from app.core.organisation import Organisation, effective, pool_problems
from app.core.organisationfile import organisation_schema, read_organisation
from app.core.stack import Configuration, ConfirmRules, Permission, PolicySpec, StackSettings, Tool

FULL = """\
version: 1
defaults:
  tool: opentofu
  version: "~> 1.9"
  autodeploy: true
  confirm: {permission: admin}
  worker_pool: large
  labels: [acme]
  environment: {REGION: eu, ro_ROLE: reader, wo_ROLE: writer}
  github_environment: false
policies:
  - {name: guard, type: push, path: policies/guard.rego, attach: "*"}
  - {name: prod, type: push, path: policies/deep/prod.rego, attach: {labels: [prod]}, dialect: v0}
module_repositories:
  "*": [modules]
  Infra: [Network, modules]
  all: "*"
pools:
  default: "*"
  large: [Infra]
"""


def read(text: str) -> Organisation:
    found = read_organisation(text.encode())
    assert isinstance(found, Organisation), found
    return found


def problems(text: str) -> list[str]:
    found = read_organisation(text.encode())
    assert isinstance(found, tuple)
    return [f"line {problem.line}: {problem.message} -> {problem.remedy}" for problem in found]


def own(*lines: str) -> Configuration:
    """A repository's file with one stack that has these lines besides its name."""
    text = "\n".join(("version: 1", "stacks:", "  - name: a", *(f"    {line}" for line in lines), ""))
    found = read_configuration(text.encode(), default_branch="main")
    assert isinstance(found, Configuration), found
    return found


def under(defaults: str, *lines: str) -> StackSettings:
    """The stack's settings under these defaults."""
    settings = read(f"version: 1\ndefaults: {defaults}\n")
    return effective(own(*lines), settings).stacks[0].settings


def test_who_confirms_is_a_default_as_a_whole() -> None:
    """A stack that says `confirm` itself has nothing of the organisation's: half of two rules is nobody's rule."""
    defaults = "{confirm: {teams: [platform], not_author: true}}"
    inherited = under(defaults).confirm_rules
    assert (inherited.teams, inherited.not_author, inherited.permission) == (("platform",), True, Permission.WRITE)
    assert under(defaults, "confirm: {permission: admin}").confirm_rules == ConfirmRules(permission=Permission.ADMIN)


def test_every_key_is_read() -> None:
    found = read(FULL)
    assert found.policies == (
        PolicySpec(name=".trackside/guard", type="push", path="policies/guard.rego", attach_all=True, line=12),
        PolicySpec(
            name=".trackside/prod",
            type="push",
            path="policies/deep/prod.rego",
            attach_labels=("prod",),
            dialect="v0",
            line=13,
        ),
    )
    assert all(policy.is_of_organisation for policy in found.policies)
    assert found.modules_of("infra") == ("modules", "network")
    assert found.modules_of("modules") == ()
    assert found.modules_of("ALL") == ("*",)
    assert (found.serves("large", "INFRA"), found.serves("large", "other")) == (True, False)
    assert (found.serves("default", "other"), found.serves("unheard", "infra")) == (True, False)
    assert read("version: 1\n").serves("any", "infra"), "without pools every pool serves all"


def test_what_an_entry_does_not_say_is_the_owners() -> None:
    (spec,) = effective(own(), read(FULL)).stacks
    assert spec.settings == StackSettings(
        name="a",
        branch="main",
        tool=Tool.OPENTOFU,
        version="~> 1.9",
        autodeploy=True,
        confirm_permission=Permission.ADMIN,
        worker_pool="large",
        labels=("acme",),
        environment={"REGION": "eu", "ro_ROLE": "reader", "wo_ROLE": "writer"},
        github_environment=None,
    )


def test_what_an_entry_says_wins_and_labels_are_added() -> None:
    lines = (
        "tool: terraform",
        "autodeploy: false",
        "confirm: {permission: write}",
        "worker_pool: default",
        "labels: [own, acme]",
        "environment: {REGION: us}",
        "github_environment: a",
    )
    (spec,) = effective(own(*lines), read(FULL)).stacks
    assert spec.settings == StackSettings(
        name="a",
        branch="main",
        labels=("own", "acme"),
        environment={"REGION": "us", "ro_ROLE": "reader", "wo_ROLE": "writer"},
        github_environment="a",
    ), "a version of the owner's is for the owner's engine"


@pytest.mark.parametrize(
    ("defaults", "line", "expected"),
    [
        ("{environment: {X: org}}", "environment: {X: own}", {"X": "own"}),
        ("{environment: {ro_X: org, wo_X: org}}", "environment: {X: own}", {"X": "own"}),
        ("{environment: {X: org}}", "environment: {ro_X: own}", {"X": "org", "ro_X": "own"}),
        ("{environment: {ro_X: org}}", "environment: {wo_X: own}", {"ro_X": "org", "wo_X": "own"}),
        ("{environment: {X: org}}", "environment: {}", {"X": "org"}),
    ],
)
def test_a_variable_that_the_stack_sets_is_the_stacks(defaults: str, line: str, expected: dict[str, str]) -> None:
    assert under(defaults, line).environment == expected


@pytest.mark.parametrize(
    ("defaults", "lines", "expected"),
    [
        ("{version: '1.9'}", (), "1.9"),
        ("{version: '1.9'}", ("tool: opentofu",), ""),
        ("{version: '1.9'}", ("version: '1.8'",), "1.8"),
        ("{tool: opentofu, version: '1.9'}", ("tool: terraform",), ""),
        ("{tool: opentofu, version: '1.9'}", (), "1.9"),
        ("{tool: opentofu}", ("version: '1.7'",), "1.7"),
    ],
)
def test_a_default_version_is_of_the_default_engine(defaults: str, lines: tuple[str, ...], expected: str) -> None:
    assert under(defaults, *lines).version == expected


def test_a_policy_speaks_about_stacks_by_their_labels_in_force() -> None:
    """Also those that the owner adds: no repository can take such a label away."""
    text = "version: 1\ndefaults: {labels: [prod]}\npolicies:\n"
    settings = read(f"{text}  - {{name: p, type: push, path: policies/p.rego, attach: {{labels: [prod]}}}}\n")
    found = effective(own("labels: [mine]"), settings)
    assert found.policies[-1].is_attached_to(found.stacks[0].settings)


@pytest.mark.parametrize(
    ("pools", "line", "expected"),
    [
        ("{default: '*'}", "labels: []", ()),
        ("{default: [infra]}", "labels: []", ()),
        ("{large: ['infra'], default: []}", "worker_pool: larg", ((4, "did you mean `worker_pool: large`?"),)),
        ("{gpu: '*'}", "labels: []", ((3, "pools that do: `gpu`"),)),
        (
            "{default: [other]}",
            "worker_pool: default",
            ((4, "no pool does: an owner adds the repository to `pools` in the organisation's stacks.yml"),),
        ),
    ],
)
def test_a_pool_that_does_not_serve_is_named_on_its_line(
    pools: str, line: str, expected: tuple[tuple[int, str], ...]
) -> None:
    settings = read(f"version: 1\npools: {pools}\n")
    found = pool_problems(effective(own(line), settings), settings, "Infra")
    assert tuple((problem.line, problem.remedy) for problem in found) == expected


MISTAKES = [
    ("defaults: {}", "line 1: the key `version` is missing -> begin the file with `version: 1`"),
    (
        "version: 1\nstacks: []",
        "line 2: the organisation's file has no stacks -> list them in each repository's `.trackside/stacks.yml`",
    ),
    (
        "version: 1\nautodeploy: true",
        "line 2: `autodeploy` stands at the top of the file -> write it below `defaults:`",
    ),
    ("version: 1\npoools: {}", "line 2: unknown key `poools` -> did you mean `pools`?"),
    ("version: 1\ndefaults: {autodeplo: true}", "line 2: unknown key `autodeplo` -> did you mean `autodeploy`?"),
    (
        "version: 1\ndefaults: {branch: main}",
        "line 2: `branch` can be no default of every stack -> write it at each stack, in its repository's stacks.yml",
    ),
    (
        "version: 1\ndefaults: {hooks: {}}",
        "line 2: `hooks` can be no default of every stack -> write it at each stack, in its repository's stacks.yml",
    ),
    (
        "version: 1\ndefaults: {github_environment: live}",
        (
            "line 2: `github_environment`: one deployment environment for every stack would mix up what is deployed "
            "where -> name it at each "
            "stack, or write `false`: no deployments unless a stack names its environment"
        ),
    ),
    (
        "version: 1\ndefaults: {environment: {PATH: x}}",
        "line 2: the variable `PATH` must not be set: the worker sets it -> take it away",
    ),
    (
        "version: 1\ndefaults: {environment: {X: a, ro_X: b}}",
        (
            "line 2: `X` reaches every phase already, so `ro_X` contradicts it -> keep one, or use `ro_` and `wo_`"
            " together"
        ),
    ),
    (
        "version: 1\ndefaults: {confirm: {permision: admin}}",
        "line 2: unknown key `permision` -> did you mean `permission`?",
    ),
    (
        "version: 1\npolicies:\n  - {name: a, type: push, path: policies/a.rego, attach: [net]}",
        (
            "line 3: `attach`: an organisation's policy is attached to all stacks or by label: names are unique in one "
            'repository only -> write `{labels: [prod]}` or `"*"`'
        ),
    ),
    (
        "version: 1\npolicies:\n  - {name: a, type: push, path: a.rego, attach: '*'}",
        "line 3: `path`: `a.rego` is no policy of this repository -> name a `.rego` file below `policies/`",
    ),
    (
        "version: 1\npolicies:\n  - {name: a, type: push, path: policies/../a.rego, attach: '*'}",
        "line 3: `path`: `policies/../a.rego` is no policy of this repository -> name a `.rego` file below `policies/`",
    ),
    (
        "version: 1\npolicies:\n  - {name: a, type: push, path: policies/a_test.rego, attach: '*'}",
        "line 3: `path`: `policies/a_test.rego` holds tests, not a policy -> name the policy that it tests",
    ),
    (
        "version: 1\npolicies:\n  - {name: a, type: push, path: policies/a.rego}",
        'line 3: the key `attach` is missing -> write `{labels: [prod]}` or `"*"`',
    ),
    (
        (
            "version: 1\npolicies:\n  - {name: a, type: push, path: policies/a.rego, attach: '*'}\n"
            "  - {name: a, type: push, path: policies/b.rego, attach: '*'}"
        ),
        "line 4: two policies are called `a`, the first in line 3 -> change one of them",
    ),
    (
        "version: 1\nmodule_repositories: {infra: [acme/mod]}",
        (
            "line 2: an entry of `infra`: `acme/mod` names an owner: only repositories of this file's own owner can be "
            "meant -> write `mod`"
        ),
    ),
    (
        "version: 1\nmodule_repositories: {infra: mod}",
        'line 2: `infra`: `mod` is no list -> write `[mod]`, or `"*"` for every repository',
    ),
    (
        "version: 1\nmodule_repositories: {infra: ['*', mod]}",
        'line 2: `infra`: `"*"` stands for every repository, so nothing can stand beside it -> write `"*"` alone',
    ),
    (
        "version: 1\nmodule_repositories:\n  infra: [a]\n  Infra: [b]",
        "line 4: `infra` and `Infra` are the same repository: GitHub's names ignore case -> keep one of them",
    ),
    (
        "version: 1\nmodule_repositories: {'no name': [a]}",
        "line 2: `no name` is no name of a repository -> write it as GitHub shows it, without its owner",
    ),
    ("version: 1\npools: {gpu: 3}", "line 2: `gpu` must be a list, not a number -> write its entries as `[one, two]`"),
    (
        "version: 1\npools: {GPU: []}",
        (
            "line 2: the name `GPU` does not fit: lowercase letters and digits, between them `-`, `_`, `.` or `/`, "
            "at most 80 characters -> try `gpu`"
        ),
    ),
    ("version: 1\nversion: 1", "line 2: the key `version` stands here twice, first in line 1 -> keep one of them"),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_each_mistake_is_named_with_line_and_remedy(text: str, expected: str) -> None:
    assert problems(text) == [expected]


def test_all_mistakes_are_named_at_once() -> None:
    text = "version: 2\ndefaults: {branch: x, tool: tofu}\npools: {a: b}\nstacks: []\n"
    assert [line.partition(":")[0] for line in problems(text)] == ["line 1", "line 2", "line 2", "line 3", "line 4"]


def test_the_schema_is_closed_and_knows_what_is_no_default() -> None:
    schema = json.loads(json.dumps(organisation_schema()))
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == {"version", "defaults", "policies", "module_repositories", "pools"}
    assert "branch" not in schema["$defs"]["DefaultsModel"]["properties"]


def test_a_default_may_be_a_secret_and_a_stack_may_set_it_otherwise() -> None:
    """Plain or secret, the stack's own word wins; the name is looked for in the stack's own scope."""
    defaults = "{environment: {A: {secret: ORG_A}, B: {secret: ORG_B}, C: plain}}"
    settings = under(defaults, "environment: {B: own, C: {secret: OWN_C}}")
    assert settings.environment == {"B": "own"}
    assert settings.secrets == {"A": "ORG_A", "C": "OWN_C"}
