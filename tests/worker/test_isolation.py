"""A hostile commit finds nothing of the worker: not its files, other runs, processes or environment, and no way out."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.protocol import Outcome
from app.engine.child import Patience
from app.engine.isolation import Isolation, Kind, Wanted
from tests.worker.world import RUN, World, await_gone, boxes, of_kind, open_world

PLAIN = 'resource "terraform_data" "one" { input = "hello" }\noutput "said" { value = terraform_data.one.output }\n'
pytestmark = boxes()


@pytest.fixture(params=[Kind.OWN_USER, Kind.USER_NAMESPACE])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """Root's boxes, and everybody's."""
    of_kind(request.param)
    with open_world(tmp_path) as made:
        made.isolation, made.kind = "bubblewrap", request.param
        yield made


@pytest.fixture
def secret(world: World) -> Path:
    """A file of the worker's own beside its mirrors, as its key file is; readable for all."""
    path = world.folder / "key"
    path.write_text("the-workers-own-secret")
    path.chmod(0o644)
    world.folder.chmod(0o755)
    return path


def _hook(world: World, *lines: str, files: dict[str, str] | None = None) -> str:
    """What these lines print, run as hooks before init; the run goes on and is planned."""
    world.start()
    world.assign(world.repository.commit({"main.tf": PLAIN} | (files or {})), hooks={"before_init": lines})
    result = world.result()
    assert result.outcome is Outcome.PLANNED, result.reason
    return world.book.log


def test_a_run_lives_its_whole_life_in_a_box(world: World) -> None:
    """Planned by one worker and applied by another, with managed state over loopback; the plan's path is /workspace."""
    text = PLAIN + 'output "place" { value = "${path.cwd} ${abspath(path.root)}" }\n'
    sha = world.repository.commit({"main.tf": text})
    world.start("worker-1")
    world.assign(sha)
    assert world.result(1).outcome is Outcome.PLANNED
    world.end()
    world.start("worker-2")
    world.assign_apply(sha)
    result = world.result(2)
    assert (result.outcome, result.reason) == (Outcome.APPLIED, "")
    assert {output.name: output.value for output in result.outputs} == {
        "said": '"hello"',
        "place": '"/workspace/source /workspace/source"',
    }
    assert json.loads(world.book.state)["resources"]
    assert not list((world.folder / "runs").iterdir())


@pytest.mark.parametrize(("first", "second"), [("bubblewrap", "none"), ("none", "bubblewrap")])
def test_a_plan_of_the_other_mode_is_given_back_with_the_reason(world: World, first: Wanted, second: Wanted) -> None:
    """Its paths would be others: a worker that has them may be found, this one applies nothing."""
    sha = world.repository.commit({"main.tf": PLAIN})
    world.start("worker-1", isolation=first)
    world.assign(sha)
    assert world.result(1).outcome is Outcome.PLANNED
    world.end()
    world.start("worker-2", isolation=second)
    world.assign_apply(sha)
    result = world.result(2)
    assert result.outcome is Outcome.RETURNED
    assert "a plan applies at its own path only: give all workers of a pool the same ISOLATION" in result.reason
    assert world.book.applies == []


def test_a_plan_reads_nothing_of_the_worker(world: World, secret: Path) -> None:
    other = world.folder / "runs" / "01JZZZZZZZZZZZZZZZZZZZZZZZ"
    other.mkdir(parents=True)
    (other / "plan.tfplan").write_text("another run's")
    paths = [secret, other / "plan.tfplan", world.repository.path / ".git" / "HEAD", Path("/etc/shadow"), Path("/root")]
    checks = ", ".join(f'"{path}" = fileexists("{path}")' for path in paths)
    text = (
        PLAIN
        + f'output "seen" {{ value = {{ {checks} }} }}\n'
        + (f'output "set" {{ value = [fileset("{world.folder}", "**"), fileset("/proc", "*/environ")] }}\n')
    )
    world.book.next = "apply"
    world.start()
    world.assign(world.repository.commit({"main.tf": text}))
    outputs = {output.name: json.loads(output.value or "") for output in world.result().outputs}
    assert not any(outputs["seen"].values()), outputs["seen"]
    assert outputs["set"][0] == []


def test_what_an_operator_shows_can_be_read_and_not_written(world: World) -> None:
    shared = world.folder / "shared"
    shared.mkdir()
    (shared / "tool.sh").write_text("echo the tool runs")
    shared.chmod(0o777)
    world.readable = (shared,)
    log = _hook(world, f". {shared}/tool.sh", f"(: >{shared}/new) 2>&1 || echo read only")
    assert "\nthe tool runs\n" in log
    assert "\nread only\n" in log


def test_nothing_of_the_worker_stays_open_in_a_box(world: World) -> None:
    log = _hook(world, "ls /proc/$$/fd")
    assert log.partition("$ ls /proc/$$/fd\n")[2].partition("──")[0].split() == ["0", "1", "2"]


def test_a_plan_that_reads_the_key_file_fails(world: World, secret: Path) -> None:
    world.start()
    world.assign(world.repository.commit({"main.tf": f'output "key" {{ value = file("{secret}") }}\n'}))
    result = world.result()
    assert result.outcome is Outcome.FAILED
    assert "no file exists at" in result.reason
    assert "the-workers-own-secret" not in world.book.log + result.reason


def test_what_an_apply_runs_reaches_nothing_of_the_worker(world: World, secret: Path) -> None:
    look = "cat /proc/*/environ | tr '\\\\0' '\\\\n' | grep -c ^PYTEST"
    commands = f"cat {secret} || echo no key; {look}; echo x >{secret} || echo no write"
    text = f'resource "terraform_data" "one" {{\n  provisioner "local-exec" {{ command = "{commands}" }}\n}}\n'
    world.book.next = "apply"
    world.start()
    world.assign(world.repository.commit({"main.tf": text}))
    assert world.result().outcome is Outcome.APPLIED
    for said in ("no key", "(local-exec): 0", "no write"):
        assert said in world.book.log
    assert secret.read_text() == "the-workers-own-secret"


def test_processes_and_their_environment_are_the_boxs_own(world: World) -> None:
    log = _hook(
        world,
        "echo processes $(ls /proc | grep -c '^[0-9]*$')",
        "for one in /proc/[0-9]*; do tr '\\0' '\\n' <$one/environ; done 2>/dev/null | grep -c '^PYTEST' || true",
        f"kill -0 {os.getpid()} 2>/dev/null || echo cannot see it",
        "echo host $(hostname 2>/dev/null || cat /proc/sys/kernel/hostname)",
    )
    count = int(log.partition("\nprocesses ")[2].partition("\n")[0])
    assert count < 10
    assert "\n0\n" in log
    assert "\ncannot see it\n" in log
    assert "\nhost trackside\n" in log


def test_a_hook_has_no_power_and_a_user_of_its_own(world: World) -> None:
    log = _hook(world, "echo user $(id -u) $(id -un)", "grep -E '^(CapEff|CapPrm|NoNewPrivs):' /proc/self/status")
    uid = log.partition("\nuser ")[2].partition("\n")[0].split()
    assert uid[0] != "0"
    assert uid[1] == "run"
    assert log.count(":\t0000000000000000\n") == 2
    assert "NoNewPrivs:\t1\n" in log
    if world.kind is Kind.OWN_USER:
        assert int(uid[0]) > 49_999


def test_nothing_but_the_runs_own_folders_can_be_written(world: World) -> None:
    places = "/ /etc /usr /usr/bin /workspace /dev /proc /var /run /opt /srv"
    log = _hook(
        world,
        f"for place in {places}; do (: >$place/trackside-test) 2>/dev/null && echo wrote into $place; done; true",
        "for place in source data home tmp; do echo x >/workspace/$place/x || exit 1; done; echo x >/tmp/y",
        "ls /workspace/tmp",
    )
    assert "wrote into" not in log.replace("echo wrote into $place", "")
    assert "\ny\n" in log, "/tmp is the run's own"


def test_no_socket_or_home_of_the_machine_is_there(world: World) -> None:
    log = _hook(world, "ls -A / | tr '\\n' ' '", "ls -A /run /var/run /home /root 2>/dev/null | tr '\\n' ' '; echo end")
    top = set(log.partition("── before_init 1 of 2 ──\n")[2].split("\n")[1].split())
    assert top <= {
        *[
            "bin",
            "dev",
            "etc",
            "lib",
            "lib32",
            "lib64",
            "libx32",
            "nix",
            "proc",
            "root",
            "sbin",
            "tmp",
            "usr",
            "work",
            "workspace",
            "opt",
        ],
        "gnu",
    }
    assert "docker.sock" not in log
    assert ".ssh" not in log


def test_the_network_stays_with_the_names_and_certificates_that_it_needs(world: World) -> None:
    log = _hook(
        world, "cat /etc/resolv.conf >/dev/null && echo resolves", "test -e /etc/ssl && echo trusts", "cat /etc/passwd"
    )
    assert "\nresolves\n" in log
    assert "\ntrusts\n" in log
    assert "root:" not in log


@pytest.mark.parametrize(
    "line",
    [
        "ln -s {out}/created trackside_override.tf",
        "rm -f ~/trackside.tfrc; ln -s {out}/created ~/trackside.tfrc",
        "rm -rf ../data/* && ln -s {secret} ../data/terraform.tfstate",
        "ln -s {out}/created ../tmp/exported",
        "rm -rf ../home; ln -s {out} ../home; rmdir /tmp && ln -s {out} /tmp",
        "mv /workspace/source /workspace/gone; ln -s {out} /workspace/source",
        "rm -rf /workspace/plan.tfplan; ln -s {secret} /workspace/plan.tfplan",
        "for name in plan.tfplan workspace.archive assignment etc-passwd; do ln -s {out}/created ../$name; done",
        "mkfifo ../tmp/workspace.archive ../home/pipe; rm ../home/trackside.tfrc; mkfifo ../home/trackside.tfrc",
    ],
)
def test_links_that_a_hook_leaves_lead_the_worker_nowhere(world: World, secret: Path, line: str) -> None:
    """The worker goes on in the workspace with its own rights: whatever stands there, it stays in there."""
    out = world.folder / "out"
    out.mkdir(mode=0o777)
    out.chmod(0o777)
    made = f"({line.format(out=out, secret=secret)}) 2>/dev/null; true"
    world.start()
    world.assign(world.repository.commit({"main.tf": PLAIN}), hooks={"before_init": (made,), "after_plan": (made,)})
    assert world.result().outcome in (Outcome.PLANNED, Outcome.FAILED)
    assert list(out.iterdir()) == []
    assert secret.read_text() == "the-workers-own-secret"
    assert "the-workers-own-secret" not in world.book.log
    assert not Path("/trackside_override.tf").exists()
    assert not list((world.folder / "runs").iterdir())


def test_a_project_root_that_becomes_a_link_is_refused(world: World) -> None:
    world.start()
    hooks = {"before_init": ("cd ..; mv infra was; ln -s / infra",)}
    world.assign(world.repository.commit({"infra/main.tf": PLAIN}), project_root="infra", hooks=hooks)
    result = world.result()
    assert result.outcome is Outcome.FAILED
    assert "leads out of the repository" in result.reason
    assert not Path("/trackside_override.tf").exists()


def test_a_plan_can_be_read_after_it_was_made_and_not_be_changed(world: World) -> None:
    world.start()
    lines = (
        "test -s /workspace/plan.tfplan && echo it is there",
        "(echo x >>../plan.tfplan) 2>&1 || echo fixed",
    )
    hooks = {"after_plan": (*lines, "terraform show -no-color $TRACKSIDE_PLAN_FILE | grep -c 'will be created'")}
    world.assign(world.repository.commit({"main.tf": PLAIN}), hooks=hooks)
    result = world.result()
    assert (result.outcome, result.reason) == (Outcome.PLANNED, "")
    assert "\nit is there\n" in world.book.log
    assert "\nfixed\n" in world.book.log
    assert "\n1\n" in world.book.log


def test_what_hides_in_a_box_ends_with_its_command(world: World) -> None:
    """Forked twice, in a session of its own, without its environment: the namespace's end is its end."""
    hide = "env -i setsid sh -c 'exec setsid sleep 61234' >/dev/null 2>&1 &"
    _hook(world, f"{hide} while ! grep -qs 61234 /proc/[0-9]*/cmdline; do :; done")
    assert _found("61234") == []


_NEVER_EMPTY = """#!{python}
import os, subprocess, sys
words = sys.argv[1:]
if {word!r} in words:
    nowhere = subprocess.DEVNULL
    stays = subprocess.Popen(["sleep", "600"], start_new_session=True, stdout=nowhere, stderr=nowhere)
    open({pid!r}, "w").write(str(stays.pid))
    told = words.index("--info-fd") + 1
    os.write(int(words[told]), b'{{"child-pid": %d}}' % stays.pid)
    words[told] = str(os.dup(os.open(os.devnull, os.O_WRONLY)))
    os.set_inheritable(int(words[told]), True)
os.execv({bwrap!r}, ["bwrap", *words])
"""


@pytest.fixture
def never_empty(world: World) -> Iterator[Callable[[str], Isolation]]:
    """A bubblewrap that says of each command with a certain word that a process of its box lives on."""
    found, script, pid = of_kind(world.kind or Kind.OWN_USER), world.folder / "bwrap", world.folder / "stays"

    def made(word: str) -> Isolation:
        text = _NEVER_EMPTY.format(python=sys.executable, word=word, pid=str(pid), bwrap=found.bwrap)
        script.write_text(text)
        script.chmod(0o700)
        return replace(found, bwrap=str(script))

    yield made
    os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_state_is_kept_also_when_the_box_of_its_apply_does_not_empty(
    world: World, never_empty: Callable[[str], Isolation]
) -> None:
    world.book.next, world.book.refuse_state_writes = "apply", True
    world.start(found=never_empty("apply"), patience=Patience(0.6, 0.3, empty_s=0.1))
    world.assign(world.repository.commit({"main.tf": PLAIN}))
    result, kept = world.result(), world.folder / "errored" / f"{RUN}.tfstate"
    assert result.outcome is Outcome.FAILED
    assert result.reason.startswith("report plan on worker worker-1: the worker's own log says what happened\n")
    assert result.reason.endswith(f"errored.tfstate is kept on worker worker-1 in {kept}")
    assert json.loads(kept.read_bytes())["resources"]


def test_what_breaks_after_the_apply_says_that_it_was_applied(
    world: World, never_empty: Callable[[str], Isolation]
) -> None:
    world.book.next = "apply"
    world.start(found=never_empty("echo late"), patience=Patience(0.6, 0.3, empty_s=0.1))
    world.assign(world.repository.commit({"main.tf": PLAIN}), hooks={"after_apply": ("echo late",)})
    result = world.result()
    what = "applied, and then: report plan on worker worker-1: the worker's own log says what happened"
    assert (result.outcome, result.reason) == (Outcome.FAILED, what)
    assert world.book.state


def test_a_stopped_plan_ends_inside_its_box(world: World) -> None:
    world.book.lease_s = 1.5
    world.start()
    text = 'output "never" { value = file("pipe") }\n'
    world.assign(world.repository.commit({"main.tf": text}), hooks={"before_plan": ("mkfifo pipe",)})
    world.book.wait(lambda: "── plan ──" in world.book.log)
    world.book.stop = True
    result = world.result()
    assert (result.outcome, result.reason) == (Outcome.STOPPED, "stopped during plan")


def test_a_lost_lease_ends_everything_in_the_box(world: World) -> None:
    world.book.next, world.book.lease_s = "apply", 1.5
    world.start()
    world.assign(world.repository.commit({"main.tf": _sleeps(61235)}))
    world.book.wait(lambda: _found("61235"))
    found = _found("61235")
    world.book.refuse["heartbeat"] = 409
    for pid in found:
        await_gone(pid)
    world.end()
    assert world.book.results == []


def test_kill_nine_of_the_worker_ends_everything_in_the_box(world: World) -> None:
    world.book.next = "apply"
    world.assign(world.repository.commit({"main.tf": _sleeps(61236)}))
    script = (
        "import sys, os, threading\n"
        "from pathlib import Path\n"
        "from app.core.names import Secret\n"
        "from app.engine.git import Mirror\n"
        "from app.engine.isolation import find_isolation\n"
        "from app.vault.stream import stream_cipher\n"
        "from app.worker.config import WorkerConfig\n"
        "from app.worker.loop import Worker\n"
        "url, folder, path = sys.argv[1:]\n"
        "config = WorkerConfig(control_url=url, token=Secret('pool-token-0123456789'), pool='default', name='w',\n"
        "    mirror_root=Path(folder, 'mirrors'), work_root=Path(folder, 'runs'), search_path=path,\n"
        "    isolation=find_isolation('bubblewrap', search_path=path))\n"
        "mirror = Mirror(config.mirror_root, allow_file=True)\n"
        "Worker(config, stream_cipher, mirror=mirror).run(threading.Event())\n"
    )
    words = [sys.executable, "-c", script, world.url, str(world.folder), os.environ["PATH"]]
    worker = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    world.book.wait(lambda: _found("61236"))
    found = _found("61236")
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    for pid in found:
        await_gone(pid)


def test_the_runs_files_are_gone_afterwards_whatever_their_owner_made_of_them(world: World) -> None:
    _hook(world, "mkdir -p deep/er; echo x >deep/er/file; chmod 0 deep/er/file; chmod 0500 deep/er; chmod 0 deep")
    assert not (world.folder / "runs" / RUN).exists()


def _sleeps(number: int) -> str:
    """A resource whose creation sleeps for a number of seconds that is not used elsewhere."""
    command = f"exec sleep {number}"
    return f'resource "terraform_data" "slow" {{\n  provisioner "local-exec" {{ command = "{command}" }}\n}}\n'


def _found(word: str) -> list[int]:
    """Processes of this machine that sleep for that number of seconds."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            argv = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if argv[:2] == [b"sleep", word.encode()]:
            found.append(int(folder.name))
    return found
