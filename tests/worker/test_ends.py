"""How an assignment ends before its time: stopped, returned, lost, its worker killed; the engine never outlives it."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event

from app.core.names import Secret
from app.core.protocol import Outcome
from app.worker.client import ControlPlane, Hold
from app.worker.lease import Lease
from tests.worker.world import POOL_TOKEN, RUN, World, await_gone

PLAIN = 'resource "terraform_data" "one" { input = "hello" }\n'


def _hanging(pids: Path, name: str) -> str:
    """A resource whose creation writes its process id and waits for ever."""
    command = f"echo $$ > {pids}.new && mv {pids}.new {pids} && exec sleep 600"
    return f'resource "terraform_data" "{name}" {{\n  provisioner "local-exec" {{ command = "{command}" }}\n}}\n'


def _hang_while_planning(pids: Path) -> str:
    """A plan that waits for ever: it reads a pipe that nobody writes."""
    os.mkfifo(pids)
    return f'output "never" {{ value = file("{pids}") }}\n'


def _pid(world: World, pids: Path) -> int:
    world.book.wait(pids.is_file)
    return int(pids.read_text())


def test_a_stopped_plan_ends_and_says_so(world: World, tmp_path: Path) -> None:
    world.book.lease_s = 1.5
    world.start()
    world.assign(world.repository.commit({"main.tf": _hang_while_planning(tmp_path / "pipe")}))
    world.book.wait(lambda: ("planning", "") in world.book.stages)
    world.book.stop = True
    result = world.result()
    assert (result.outcome, result.reason) == (Outcome.STOPPED, "stopped during plan")
    assert world.book.plans == []


def test_a_worker_that_shuts_down_gives_a_plan_back(world: World, tmp_path: Path) -> None:
    stop = world.start()
    world.assign(world.repository.commit({"main.tf": _hang_while_planning(tmp_path / "pipe")}))
    world.book.wait(lambda: ("planning", "") in world.book.stages)
    stop.set()
    assert world.result().outcome is Outcome.RETURNED


def test_a_worker_that_shuts_down_waits_for_an_apply(world: World, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    text = (
        f'resource "terraform_data" "slow" {{\n  provisioner "local-exec" {{ command = "cat {tmp_path}/pipe" }}\n}}\n'
    )
    world.book.next = "apply"
    stop = world.start()
    world.assign(world.repository.commit({"main.tf": text}))
    with open(tmp_path / "pipe", "w"):  # opened once the provisioner reads it
        stop.set()
        world.book.stop = True
    assert world.result().outcome is Outcome.APPLIED


def test_a_lost_lease_kills_the_engine_and_nothing_more_is_written(world: World, tmp_path: Path) -> None:
    world.book.next, world.book.lease_s = "apply", 1.5
    world.start()
    world.assign(world.repository.commit({"main.tf": _hanging(tmp_path / "pid", "slow")}))
    pid = _pid(world, tmp_path / "pid")
    world.book.refuse["heartbeat"] = 409
    await_gone(pid)
    with world.book.changed:
        state = world.book.state
    world.end()
    assert world.book.results == []
    assert world.book.state == state
    assert not list((world.folder / "runs").iterdir())


def test_a_lease_that_runs_out_unheard_kills_the_engine(world: World, tmp_path: Path) -> None:
    world.book.next, world.book.lease_s = "apply", 1.5
    world.start()
    world.assign(world.repository.commit({"main.tf": _hanging(tmp_path / "pid", "slow")}))
    pid = _pid(world, tmp_path / "pid")
    world.book.refuse["heartbeat"] = 503
    await_gone(pid)
    world.end()
    assert world.book.results == []


def test_kill_nine_of_the_worker_takes_the_engine_with_it(world: World, tmp_path: Path) -> None:
    world.book.next = "apply"
    world.assign(world.repository.commit({"main.tf": _hanging(tmp_path / "pid", "slow")}))
    script = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from app.core.names import Secret\n"
        "from app.engine.git import Mirror\n"
        "from app.vault.stream import stream_cipher\n"
        "from app.worker.config import WorkerConfig\n"
        "from app.worker.loop import Worker\n"
        "url, folder, path = sys.argv[1:]\n"
        "config = WorkerConfig(control_url=url, token=Secret('pool-token-0123456789'), pool='default', name='w',\n"
        "    mirror_root=Path(folder, 'mirrors'), work_root=Path(folder, 'runs'), search_path=path)\n"
        "mirror = Mirror(config.mirror_root, allow_file=True)\n"
        "Worker(config, stream_cipher, mirror=mirror).run(threading.Event())\n"
    )
    words = [sys.executable, "-c", script, world.url, str(world.folder), os.environ["PATH"]]
    worker = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    pid = _pid(world, tmp_path / "pid")
    engine = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    await_gone(pid)
    await_gone(engine)
    workspace = world.folder / "runs" / RUN
    assert (workspace / "plan.tfplan").is_file()
    world.start("worker-2")
    world.book.wait(lambda: not workspace.exists())


def test_the_next_assignments_workspace_survives_the_end_of_a_lost_one(world: World, tmp_path: Path) -> None:
    world.book.next, world.book.lease_s = "apply", 1.5
    world.start()
    world.assign(world.repository.commit({"main.tf": _hanging(tmp_path / "pid", "slow")}))
    pid = _pid(world, tmp_path / "pid")
    workspace = next((world.folder / "runs").iterdir())
    (workspace / "assignment").write_text("01JASSXGNMENT0000000000009")
    world.book.refuse["heartbeat"] = 409
    await_gone(pid)
    world.end()
    assert workspace.is_dir()


def test_without_a_workspace_the_run_is_given_back(world: World) -> None:
    (world.folder / "runs").write_text("in the way")
    world.start()
    world.assign(world.repository.commit({"main.tf": ""}))
    result = world.result()
    assert result.outcome is Outcome.RETURNED
    assert "runs" in result.reason


def test_a_workspace_that_cannot_be_left_costs_no_result(world: World) -> None:
    """An apply whose result is lost has an unknown outcome, and puts its stack on hold."""
    world.book.next = "apply"
    world.start()
    spoil = "printf '\\377' > ../assignment"
    world.assign(world.repository.commit({"main.tf": PLAIN}), hooks={"after_apply": (spoil,)})
    assert world.result().outcome is Outcome.APPLIED


def test_a_lease_that_runs_out_during_a_heartbeat_ends_its_work(world: World) -> None:
    """An answer that comes drop by drop must not keep an engine at work that another may follow by now."""
    world.book.lease_s, world.book.dripping = 0.8, Event()
    lost, assignment = Event(), world.assign(world.repository.commit({"main.tf": ""}))
    plane = ControlPlane(world.url, Secret(POOL_TOKEN))

    class Work:
        def stop(self) -> None:
            """Nobody asks for it."""

        def lose(self) -> None:
            lost.set()

    with Lease(Hold(plane, assignment), Work()):
        assert lost.wait(5)
        world.book.dripping.set()
    plane.close()
