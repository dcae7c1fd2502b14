"""The contract of asking a policy, one for every backend: the pool, an OPA server, and the stand-in of its wire."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.contract import Evaluated, PolicyQuestions, PolicyType
from app.core.errors import UserError
from app.core.names import Secret
from app.policy.engine import PolicyEngine
from app.policy.pool import OpaPool
from app.policy.server import OpaServer
from tests.policy.asked import failed, notable, told, written
from tests.policy.stand_in import opa_stand_in

PUSH = {"push": {"branch": "main", "tag": ""}, "stack": {"branch": "main"}, "pull_request": None}
OPA = os.environ.get("OPA_BIN") or shutil.which("opa")


@pytest.fixture(scope="module", params=["pool", "unix socket", "http", "opa server"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PolicyEngine]:
    """Every backend that this machine has."""
    folder = tmp_path_factory.mktemp("opa")
    match request.param:
        case "pool":
            with OpaPool(1) as pool:
                yield pool
        case "opa server":
            yield from _real_server(folder)
        case wire:
            path = folder / "opa.sock" if wire == "unix socket" else None
            with opa_stand_in("t0k3n", path) as (stand_in, url):
                with OpaServer(url, Secret("t0k3n")) as server:
                    yield server
                assert stand_in.policies == {}, "what was put there was taken back"


def _real_server(folder: Path) -> Iterator[PolicyEngine]:
    if not OPA:
        pytest.skip("NO `opa` BINARY ON THIS MACHINE: the OPA server is not tested; put one on PATH, or set OPA_BIN")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [OPA, "run", "--server", f"--addr=127.0.0.1:{port}", "--log-level=error"]
    with subprocess.Popen(argv, cwd=folder) as process:
        try:
            with OpaServer(f"http://127.0.0.1:{port}") as server:
                for _ in range(400):
                    if server.check(written("track := true")) == ():
                        break
                yield server
        finally:
            process.terminate()


class TestAPolicyEngine:
    """What flows may count on."""

    def test_a_function_that_fails_is_undefined_and_its_rule_is_named(self, engine: PolicyEngine) -> None:
        policy = written('message contains "m" if not to_number(input.s)\ntrack if to_number(input.s)\npropose := true')
        said = told(engine, policy, {"s": "x"})
        assert notable(said) == {"message": ["m"], "propose": True}
        assert sorted(said.errors_by_rule) == ["message", "track"]

    def test_many_questions_are_answered_as_each_alone(self, engine: PolicyEngine) -> None:
        policy = written("track if input.push.branch == input.stack.branch\nignore if to_number(input.stack.n) > 1")
        own = [{"stack": {"branch": "main", "n": n}} for n in ("0", "2", "x")] + [{"push": {"branch": "dev"}}]
        (many,) = engine.evaluate_all(PUSH, [PolicyQuestions(policy=policy, own=own)])
        alone = [told(engine, policy, {**PUSH, **each}) for each in own]
        assert [(each.rules, each.errors_by_rule) for each in many if isinstance(each, Evaluated)] == [
            (each.rules, each.errors_by_rule) for each in alone
        ]

    def test_every_rule_of_the_type_has_a_value(self, engine: PolicyEngine) -> None:
        said = told(engine, written("track if input.push.branch == input.stack.branch"), PUSH)
        assert len(said.rules) == 18
        assert notable(said) == {"track": True}
        assert [(each.rule, each.line) for each in said.fired] == [("track", 2)]
        assert said.elapsed_s > 0

    def test_policies_of_one_package_never_meet(self, engine: PolicyEngine) -> None:
        first = written('helper := 1\nmessage contains "first" if helper == 1')
        second = written('helper := 2\nmessage contains "second" if data.spacelift.helper == 2')
        for _ in range(2):
            assert told(engine, first).rules["message"] == ["first"]
            assert told(engine, second).rules["message"] == ["second"]

    def test_both_packages_and_both_dialects_are_asked_the_same(self, engine: PolicyEngine) -> None:
        for package in ("spacelift", "trackside"):
            for rule in ("track if input.pull_request == null", "track { is_null(input.pull_request) }"):
                assert notable(told(engine, written(f"package {package}\n{rule}"), PUSH)) == {"track": True}

    def test_an_undefined_rule_is_false_for_the_policy_itself(self, engine: PolicyEngine) -> None:
        policy = written("ignore if not track\nnotify if track == false\nmessage contains m if some m in cancel")
        assert notable(told(engine, policy, PUSH)) == {"ignore": True, "notify": True}

    def test_a_policys_own_default_and_helpers_win(self, engine: PolicyEngine) -> None:
        policy = written('default track := true\nsanitized(s) := "own"\nmessage contains sanitized("x")')
        assert notable(told(engine, policy, PUSH)) == {"track": True, "message": ["own"]}

    def test_sanitized_is_the_end_of_the_hash(self, engine: PolicyEngine) -> None:
        policy = written('deny contains sanitized("exampledb")\nwarn contains sanitized("mysql")', PolicyType.PLAN)
        assert notable(told(engine, policy), PolicyType.PLAN) == {"deny": ["59832d41"], "warn": ["eae35047"]}

    def test_a_mistake_has_line_column_and_source(self, engine: PolicyEngine) -> None:
        (mistake,) = engine.check(written("track if {\n\tinput.a == unknown_thing\n}"))
        assert (mistake.line, mistake.source_line) == (3, "\tinput.a == unknown_thing")
        assert mistake.column == 13
        assert "unknown_thing is unsafe" in mistake.message

    def test_a_policy_that_does_not_parse_is_closed(self, engine: PolicyEngine) -> None:
        said = failed(engine, written("track if {\n"))
        assert said.kind == "parse"
        assert said.line in (2, 3)
        assert "rego_parse_error" in said.message

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('track contains "x"', "rule track of a push policy is true or false"),
            ("track(x) if x", "here it is a function"),
            ('track["a"] := 1', "here it is a map"),
            ('track := "yes"', "here it is a complete rule (string)"),
            ('message := "x"', "a set of texts"),
            ('lock contains "x"', "is one text"),
            ("ignore { true }\nmessage { true }", "a set of texts"),
            ('default message := "x"', "here it is a default (string)"),
            ("default message := 1", "here it is a default (number)"),
        ],
    )
    def test_a_predefined_rule_cannot_be_something_else(self, engine: PolicyEngine, text: str, words: str) -> None:
        said = failed(engine, written(text))
        assert said.kind == "contract"
        assert words in said.message
        assert said.line > 1

    def test_a_default_of_the_wrong_kind_is_named_where_it_stands(self, engine: PolicyEngine) -> None:
        (mistake,) = engine.check(written('message := ["late"] if input.a\n\ndefault message := "x"'))
        assert (mistake.line, mistake.source_line) == (4, 'default message := "x"')

    @pytest.mark.parametrize("value", ["[]", "set()", '["m"]', '{"m"}', '["m" | true]', '{"m" | true}'])
    def test_a_set_rule_may_have_a_default_of_many(self, engine: PolicyEngine, value: str) -> None:
        policy = written(f'default message := {value}\nmessage := ["late"] if input.late')
        assert engine.check(policy) == ()
        assert told(engine, policy).rules["message"] == (["m"] if "m" in value else [])
        assert told(engine, policy, {"late": True}).rules["message"] == ["late"]

    @pytest.mark.parametrize(
        "text",
        ["track := input.n", "message contains input.n", "lock := input.n", "message contains m if some m in input.l"],
    )
    def test_a_value_of_the_wrong_kind_is_closed(self, engine: PolicyEngine, text: str) -> None:
        assert failed(engine, written(text), {"n": 7, "l": ["a", 1]}).kind == "contract"

    def test_two_values_for_one_rule_are_closed(self, engine: PolicyEngine) -> None:
        policy = written("track := true if input.a\ntrack := false if input.b")
        said = failed(engine, policy, {"a": 1, "b": 1})
        assert said.kind == "contract"
        assert "complete rules must not produce multiple outputs" in said.message

    def test_another_package_is_refused(self, engine: PolicyEngine) -> None:
        for name in ("terraform", "spacelift.push", "system"):
            assert (
                "a policy is in package spacelift" in failed(engine, written(f"package {name}\ntrack := true")).message
            )

    def test_an_empty_policy_is_missing(self, engine: PolicyEngine) -> None:
        assert failed(engine, written("")).kind == "missing"

    def test_a_forbidden_function_is_named_with_its_line(self, engine: PolicyEngine) -> None:
        (mistake,) = engine.check(written('# nothing\ntrack if {\n\thttp["send"]({"url": "x"})\n}'))
        assert (mistake.line, mistake.column) == (4, 2)
        assert mistake.message == "http.send may not be used in a policy"

    def test_two_mistakes_are_both_told(self, engine: PolicyEngine) -> None:
        mistakes = engine.check(written("track if nope(1)\nignore if never(2)"))
        assert [each.line for each in mistakes] == [2, 3]

    def test_input_that_is_no_json_is_closed(self, engine: PolicyEngine) -> None:
        assert failed(engine, written("track := true"), {"a": object()}).kind == "contract"

    def test_text_goes_through_unharmed(self, engine: PolicyEngine) -> None:
        odd = 'ü € 😀 "quoted" \\ \n\t\u2028 </script>'
        assert told(engine, written("message contains input.text"), {"text": odd}).rules["message"] == [odd]


class TestTheServersWire:
    """What can go wrong between us and an OPA server; every way starts nothing."""

    def test_a_wrong_token_is_no_answer_and_shows_in_no_message(self) -> None:
        with opa_stand_in("right") as (_, url), OpaServer(url, Secret("wr0ng")) as server:
            said = failed(server, written("track := true"))
        assert (said.kind, "refused the token" in said.message) == ("unavailable", True)
        assert "wr0ng" not in said.message

    def test_no_server_is_no_answer_and_no_strike(self) -> None:
        with OpaServer("http://127.0.0.1:1") as server:
            assert [failed(server, written("track := true")).kind for _ in range(5)] == ["unavailable"] * 5

    def test_a_server_that_says_nothing_is_a_timeout(self) -> None:
        timeouts = dict.fromkeys(PolicyType, 0.2)
        with opa_stand_in("t") as (stand_in, url), OpaServer(url, Secret("t"), timeouts_s=timeouts) as server:
            assert told(server, written("track := true")).rules["track"] is True
            stand_in.is_silent = True
            assert failed(server, written("track := true")).kind == "timeout"

    def test_a_server_that_was_started_again_is_given_the_policies_again(self) -> None:
        """It answers `undefined` to what it does not have; a policy that holds something back must not vanish so."""
        frozen = written("ignore if to_number(input.n) > 1\ntrack := true")
        with opa_stand_in("t") as (stand_in, url), OpaServer(url, Secret("t")) as server:
            assert notable(told(server, frozen, {"n": "2"})) == {"track": True, "ignore": True}
            stand_in.policies = {}
            assert notable(told(server, frozen, {"n": "2"})) == {"track": True, "ignore": True}
            stand_in.policies = {}
            said = told(server, frozen, {"n": "x"})
            assert (notable(said), list(said.errors_by_rule)) == ({"track": True}, ["ignore"])

    def test_a_server_that_keeps_nothing_gives_no_answer(self) -> None:
        """Undefined is not "no rule said anything" when there is nothing that could have."""
        with opa_stand_in("t") as (stand_in, url), OpaServer(url, Secret("t")) as server:
            told(server, written("track := true"))
            stand_in.policies, stand_in.is_forgetful = {}, True
            assert failed(server, written("track := true")).kind == "unavailable"
            stand_in.is_forgetful = False
            assert told(server, written("track := true")).rules["track"] is True

    def test_policies_are_taken_back(self) -> None:
        with opa_stand_in("t") as (stand_in, url):
            with OpaServer(url, Secret("t")) as server:
                told(server, written("track if sanitized(input.a) == input.b"), {"a": "x", "b": "y"})
                assert any(name.endswith("/policy.rego") for name in stand_in.policies)
            assert stand_in.policies == {}

    @pytest.mark.parametrize("url", ["ftp://x", "opa:8181", "http://user:secret@opa:8181"])
    def test_a_url_of_another_kind_is_refused(self, url: str) -> None:
        with pytest.raises(UserError, match="reading OPA_URL") as refused:
            OpaServer(url)
        assert "secret" not in str(refused.value)


class TestTheLinesThatFired:
    """Rules with several definitions: the lines of those that hold."""

    def fired(self, engine: PolicyEngine, text: str, question: dict[str, object]) -> list[tuple[str, int]]:
        """Rule and line of each, in order."""
        return [(each.rule, each.line) for each in told(engine, written(text), question).fired]

    def test_the_definitions_that_hold_are_named(self, engine: PolicyEngine) -> None:
        text = (
            "import input.a as b\ntrack if b == 1\ntrack if { input.c }\n\ntrack if {\n\tinput.d\n}\nignore if input.no"
        )
        assert self.fired(engine, text, {"a": 1}) == [("track", 3)]
        assert self.fired(engine, text, {"c": 1}) == [("track", 4)]
        assert self.fired(engine, text, {"a": 1, "d": 1}) == [("track", 3), ("track", 6)]

    def test_members_of_a_set_have_the_lines_that_made_some(self, engine: PolicyEngine) -> None:
        text = 'message contains m if some m in input.l\nmessage contains "x" if input.x\nmessage contains "always"'
        assert self.fired(engine, text, {"l": ["a"]}) == [("message", 2), ("message", 4)]
        assert self.fired(engine, text, {"x": 1}) == [("message", 3), ("message", 4)]

    def test_v0_definitions_have_the_lines_that_were_written(self, engine: PolicyEngine) -> None:
        text = "track { input.a }\n\ntrack { input.b } else = false { input.c }"
        assert self.fired(engine, text, {"b": 1}) == [("track", 4)]

    def test_a_default_is_named_when_nothing_else_made_it_so(self, engine: PolicyEngine) -> None:
        assert self.fired(engine, "default track := false\n\ntrack if input.a", {"a": 1}) == [("track", 4)]
        assert self.fired(engine, 'default track := true\nlock := $"PR_{input.n}"', {"n": 7}) == [
            ("track", 2),
            ("lock", 3),
        ]

    def test_a_condition_that_the_rule_never_came_to_does_no_harm(self, engine: PolicyEngine) -> None:
        text = "f(x) := 1 if x\nf(x) := 2 if x\ntrack if input.a\ntrack if f(input.a) == 3"
        said = told(engine, written(text), {"a": 1})
        assert said.rules["track"] is True
        assert [each.rule for each in said.fired] == ["track"]
