"""The engine runs with what the stack gave it and nothing else, inside its commit, and ends when it is told to."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from app.core.errors import UserError
from app.core.names import Secret
from app.core.planjson import read_plan
from app.core.protocol import Output
from app.core.statepoint import Obstacle
from app.engine.bench import Bench, Folders, StackSettings
from app.engine.child import Command, Control, Ended, Patience, run_child
from app.engine.environment import (
    CloneAccess,
    ManagedState,
    check_environment,
    clone_env,
    engine_env,
    state_env,
    write_cli_config,
)
from app.engine.limits import Limits
from app.engine.stream import Capture, Lines, Redactor
from app.engine.terraform import OVERRIDE, Done, Failure, Outputs, Part, Planned, Terraform, read_outputs
from app.engine.tools import find_engine
from tests.worker.world import await_gone

PLAIN = 'terraform {\n  backend "local" {}\n}\nresource "terraform_data" "one" { input = "hello" }\n'
STATE = ManagedState(address="http://127.0.0.1:9/state/S", username="run", password=Secret("state-password"))


class Desk:
    """A workspace, and the engine in it."""

    def __init__(self, folder: Path) -> None:
        self.folders = Folders(
            source=folder / "source",
            data_dir=folder / "data",
            plan_file=folder / "plan.tfplan",
            home=folder / "home",
            tmp=folder / "tmp",
        )
        for path in (self.folders.source, self.folders.data_dir, self.folders.home, self.folders.tmp):
            path.mkdir()
        self.log: list[str] = []
        self.control = Control(Patience(0.4, 0.2))
        self.redact: Callable[[str], str] = str

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.folders.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def engine(self, stack: StackSettings | None = None) -> Terraform:
        found = find_engine("terraform", search_path=os.environ["PATH"])
        settings = stack or StackSettings(name="network")
        bench = Bench(found, self.folders, settings, control=self.control, log=self.log.append, redact=self.redact)
        return Terraform(bench)


def outputs_of(engine: Terraform) -> tuple[Output, ...]:
    """The outputs for people, when they can be read."""
    found = engine.outputs()
    assert isinstance(found, Outputs)
    return found.shown


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_plan_is_made_read_and_applied(desk: Desk) -> None:
    desk.write({"main.tf": PLAIN + 'output "o" { value = terraform_data.one.output }\n'})
    engine = desk.engine()
    assert engine.init() == Done()
    assert engine.plan() == Planned(has_changes=True)
    assert desk.folders.plan_file.stat().st_mode & 0o077 == 0
    shown = engine.show()
    assert isinstance(shown, bytes)
    assert b'"terraform_data.one"' in shown
    assert engine.apply() == Done()
    assert outputs_of(engine) == (Output(name="o", value='"hello"'),)
    assert engine.plan() == Planned(has_changes=False)
    assert engine.plan(is_destroy=True) == Planned(has_changes=True)
    assert "terraform_data.one: Plan to create" in desk.log


def test_a_part_of_a_plan_is_its_targets_each_one_argument(desk: Desk) -> None:
    """What looks like another option stays a target: nothing of an address is read by a shell or split."""
    text = PLAIN + 'resource "terraform_data" "odd" { for_each = toset(["a b", "$(id)", "x -destroy", "\\"q\\""]) }\n'
    desk.write({"main.tf": text})
    engine = desk.engine()
    part = Part(targets=('terraform_data.odd["x -destroy"]', 'terraform_data.odd["\\"q\\""]'))
    assert engine.init() == Done()
    planned = engine.plan(part)
    assert isinstance(planned, Planned)
    assert planned.has_changes
    assert planned.warnings[0].summary == "Resource targeting is in effect"
    shown = engine.show()
    assert isinstance(shown, bytes)
    assert sorted(change.address for change in read_plan(shown).changes) == sorted(part.targets)
    assert Part(excluded=("x.a", "x.b c")).words() == ["-exclude=x.a", "-exclude=x.b c"]
    assert engine.plan(is_destroy=True) == Planned(has_changes=False)


def test_a_stale_plan_is_told_apart(desk: Desk) -> None:
    desk.write({"main.tf": PLAIN})
    engine = desk.engine()
    assert [engine.init(), engine.plan()] == [Done(), Planned(has_changes=True)]
    kept = desk.folders.plan_file.read_bytes()
    assert engine.apply() == Done()
    desk.folders.plan_file.write_bytes(kept)
    refused = engine.apply()
    assert isinstance(refused, Failure)
    assert refused.obstacle is Obstacle.STALE
    assert "Saved plan is stale" in refused.text
    desk.write({"main.tf": PLAIN.replace('"hello"', "var.gone")})
    failed = engine.plan()
    assert isinstance(failed, Failure)
    assert failed.obstacle is None


def test_variable_files_and_another_workspace_reach_the_engine(desk: Desk) -> None:
    text = PLAIN + 'variable "size" {}\noutput "o" { value = "${terraform.workspace} ${var.size}" }\n'
    desk.write({"infra/main.tf": text, "infra/env/prod.tfvars": "size = 7\n"})
    engine = desk.engine(
        StackSettings(name="network", project_root="infra", workspace="blue", var_files=("env/prod.tfvars",))
    )
    assert [engine.init(), engine.plan(), engine.apply()] == [Done(), Planned(has_changes=True), Done()]
    assert outputs_of(engine) == (Output(name="o", value='"blue 7"'),)


def test_backend_configuration_files_reach_init(desk: Desk, tmp_path: Path) -> None:
    desk.write({"main.tf": PLAIN, "prod.backend": f'path = "{tmp_path}/elsewhere.tfstate"\n'})
    engine = desk.engine(StackSettings(name="network", backend_config=("prod.backend",)))
    assert [engine.init(), engine.plan(), engine.apply()] == [Done(), Planned(has_changes=True), Done()]
    assert (tmp_path / "elsewhere.tfstate").is_file()


def test_a_committed_terraform_folder_is_not_used(desk: Desk, tmp_path: Path) -> None:
    desk.write({"main.tf": PLAIN})
    (tmp_path / "outside").mkdir()
    (desk.folders.source / ".terraform").symlink_to(tmp_path / "outside")
    assert desk.engine().init() == Done()
    assert not list((tmp_path / "outside").iterdir())


def test_a_commit_with_our_override_file_is_refused(desk: Desk) -> None:
    desk.write({"main.tf": PLAIN, OVERRIDE: "# mine\n"})
    with pytest.raises(UserError, match=rf"the commit holds {OVERRIDE}"):
        desk.engine(StackSettings(name="network", state=STATE)).init()


def test_an_override_file_that_takes_the_state_away_is_refused(desk: Desk) -> None:
    desk.write({"main.tf": "", "zz_override.tf": 'terraform {\n  backend "local" {}\n}\n'})
    with pytest.raises(UserError, match=r"the commit sets backend 'local' in an override file"):
        desk.engine(StackSettings(name="network", state=STATE)).init()


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The address of a server that has no state, and takes any."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (BaseHTTPRequestHandler,), {"do_GET": _nothing}))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/state"
    server.shutdown()
    thread.join()
    server.server_close()


def _nothing(handler: BaseHTTPRequestHandler) -> None:
    handler.send_error(404)


def test_an_override_file_that_sends_a_managed_state_elsewhere_is_refused(desk: Desk, elsewhere: str) -> None:
    """What a block says wins over the environment: the stack would be planned against another state."""
    block = f'terraform {{\n  backend "http" {{\n    address = "{elsewhere}"\n  }}\n}}\n'
    desk.write({"main.tf": "", "zz_override.tf": block})
    with pytest.raises(UserError, match=r"the commit sets backend 'http' in an override file"):
        desk.engine(StackSettings(name="network", state=STATE)).init()


def test_managed_state_has_the_default_workspace_only(desk: Desk) -> None:
    with pytest.raises(UserError, match=r"workspace 'blue' needs `state: external`"):
        desk.engine(StackSettings(name="network", workspace="blue", state=STATE)).init()


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside.tfvars", "link.tfvars", "gone.tfvars", ".git/config"])
def test_a_variable_file_must_be_in_the_commit(desk: Desk, tmp_path: Path, name: str) -> None:
    (tmp_path / "outside.tfvars").write_text("a = 1\n")
    (desk.folders.source / "link.tfvars").symlink_to(tmp_path / "outside.tfvars")
    with pytest.raises(UserError, match=r"preparing stack network: var file"):
        desk.engine(StackSettings(name="network", var_files=(name,))).plan()


@pytest.mark.parametrize("root", ["/etc", "..", "link", "gone", "a\0b"])
def test_a_project_root_must_be_in_the_commit(desk: Desk, tmp_path: Path, root: str) -> None:
    (desk.folders.source / "link").symlink_to(tmp_path)
    with pytest.raises(UserError, match=r"preparing stack network: project root"):
        desk.engine(StackSettings(name="network", project_root=root))


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "LD_PRELOAD",
        "TF_CLI_ARGS",
        "TF_CLI_CONFIG_FILE",
        "TF_DATA_DIR",
        "TF_HTTP_ADDRESS",
        "TF_LOG",
        "GIT_SSH",
        "a b",
    ],
)
def test_what_is_ours_cannot_be_set_by_a_stack(name: str) -> None:
    with pytest.raises(UserError, match=rf"preparing stack network: environment variable '{name}'"):
        check_environment({name: "x"}, stack="network")


def test_names_of_ours_win_and_credentials_are_apart(tmp_path: Path) -> None:
    env = engine_env(home=tmp_path, tmp=tmp_path / "t", data_dir=tmp_path / "d", environment={"TF_VAR_a": "b"})
    assert env["TF_VAR_a"] == "b"
    assert env["TF_DATA_DIR"] == str(tmp_path / "d")
    write_cli_config(tmp_path)
    assert "provider_installation" in Path(env["TF_CLI_CONFIG_FILE"]).read_text()
    assert not [name for name in env if name.startswith(("TF_HTTP_", "TF_LOG", "GIT_CONFIG_V", "TF_CLI_ARGS"))]


def test_read_only_state_names_no_lock() -> None:
    assert state_env(STATE)["TF_HTTP_LOCK_ADDRESS"] == STATE.address
    assert not [name for name in state_env(replace(STATE, is_read_only=True)) if "LOCK" in name]


def test_the_clone_token_is_for_the_host_of_the_repository_alone() -> None:
    env = clone_env(CloneAccess(url="https://github.example:8443/o/r.git", token=Secret("tok")))
    assert env["GIT_CONFIG_KEY_0"] == "http.https://github.example:8443/.extraHeader"
    assert env["GIT_CONFIG_VALUE_1"] == "git@github.example:"
    assert "tok" not in " ".join(env.values())


def test_outputs_keep_sensitive_and_endless_values_back() -> None:
    raw = b'{"b":{"sensitive":true,"value":"x"},"a":{"sensitive":false,"value":[1,"\\u00e9"]},'
    raw += b'"c":{"sensitive":false,"value":"%s"}}'
    assert read_outputs(raw % (b"y" * 20_000)).shown == (
        Output(name="a", value='[1,"é"]'),
        Output(name="b", sensitive=True),
        Output(name="c"),
    )
    with pytest.raises(UserError, match="reading the outputs"):
        read_outputs(b"[]")


def test_an_engine_that_cannot_read_its_configuration_says_where(desk: Desk) -> None:
    desk.write({"main.tf": "resource {}\n"})
    failed = desk.engine().init()
    assert isinstance(failed, Failure)
    assert failed.text.startswith("terraform init exited 1: ")
    assert "main.tf:1" in failed.text


def test_a_reason_is_cut_where_no_secret_is(desk: Desk) -> None:
    """A piece of a secret is found by nobody who looks for the whole one."""
    said = "s3cr3t-value " * 400
    check = f'{{\n    condition = var.a == 2\n    error_message = "{said}"\n  }}\n'
    desk.write({"main.tf": f'variable "a" {{\n  default = 1\n  validation {check}}}\n'})
    redactor = Redactor(["s3cr3t-value"])
    desk.redact = redactor.text
    failed = desk.engine().plan()
    assert isinstance(failed, Failure)
    assert "*** *** ***" in failed.text
    assert "s3c" not in redactor.text(failed.text)


def _shell(tmp_path: Path, script: str, control: Control, sink: Lines | Capture) -> int:
    env = {"PATH": os.environ["PATH"]}
    command = Command(argv=["/bin/sh", "-c", script], env=env, cwd=tmp_path)
    return run_child(command, control=control, sinks=(sink, Lines(print))).code


def _from_another_thread(act: Callable[[], None], pipe: Path) -> Thread:
    """Acts once somebody reads the pipe."""

    def run() -> None:
        with pipe.open("w"):
            act()

    thread = Thread(target=run)
    thread.start()
    return thread


def test_a_command_that_ends_well_is_drained(tmp_path: Path) -> None:
    captured = Capture(10_000_000)
    assert _shell(tmp_path, "head -c 3000000 /dev/zero; exit 5", Control(), captured) == 5
    assert len(captured.bytes()) == 3_000_000


def test_output_beyond_the_bound_is_dropped(tmp_path: Path) -> None:
    captured = Capture(1000)
    assert _shell(tmp_path, "head -c 3000000 /dev/zero", Control(), captured) == 0
    assert (captured.is_over, len(captured.bytes())) == (True, 0)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_who_does_not_listen_is_killed(tmp_path: Path, how: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    control = Control(Patience(0.1, 0.1))
    other = _from_another_thread(getattr(control, how), tmp_path / "pipe")
    script = "trap '' INT; read x < pipe; sleep 600 & wait; sleep 600"
    assert _shell(tmp_path, script, control, Lines(print)) == -signal.SIGKILL
    other.join()
    assert control.is_ending


def test_nothing_starts_under_a_control_that_ended(tmp_path: Path) -> None:
    control = Control()
    control.kill()
    _shell(tmp_path, "touch started", control, Lines(print))
    assert not (tmp_path / "started").exists()


def test_what_a_command_leaves_in_the_background_ends_with_it(tmp_path: Path) -> None:
    lines: list[str] = []
    assert _shell(tmp_path, "sleep 600 & echo $!", Control(), Lines(lines.append)) == 0
    await_gone(int(lines[0]))


def test_a_command_that_has_ended_is_noticed_while_its_background_prints_on(tmp_path: Path) -> None:
    """Its own pauses are shorter than the look at it: only the end of its group ends it."""
    control, captured = Control(limits=Limits(run_s=8)), Capture(1_000_000)
    command = Command(
        argv=["/bin/sh", "-c", "while :; do echo x; sleep 0.05; done & exit 3"],
        env={"PATH": os.environ["PATH"]},
        cwd=tmp_path,
    )
    assert run_child(command, control=control, sinks=(captured, Lines(print))) == Ended(3)


def test_a_command_whose_guard_cannot_start_never_begins_and_leaves_no_process(tmp_path: Path) -> None:
    script = (
        "import os, sys\nfrom pathlib import Path\n"
        "from app.core.errors import BrokenError\nfrom app.engine.child import Command, Control, run_child\n"
        "from app.engine.stream import Lines\n"
        "sys.executable, control = '/nothing', Control()\n"
        "command = Command(argv=['/bin/touch', 'begun'], env={}, cwd=Path(sys.argv[1]))\n"
        "try: run_child(command, control=control, sinks=(Lines(print), Lines(print)))\n"
        "except BrokenError as error: print(error)\n"
        "try: os.waitpid(-1, os.WNOHANG)\n"
        "except ChildProcessError: print('none left')\n"
    )
    words = [sys.executable, "-W", "error", "-c", script, str(tmp_path)]
    said = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert said.stdout == "starting /bin/touch: its guard: No such file or directory\nnone left\n"
    assert not (tmp_path / "begun").exists()
