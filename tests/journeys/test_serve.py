"""`trackside serve`: its parts start and end in an order in which none of them is alone."""

from pathlib import Path

from structlog.testing import capture_logs

from tests.driver import open_processes, wait_until


def test_the_worker_starts_when_the_web_answers_and_ends_before_it(tmp_path: Path, database_url: str) -> None:
    """The first claim is heard, so the worker does not pause; at the end nobody is left without the other side."""
    log = tmp_path / "log"
    with capture_logs() as told, open_processes(tmp_path, database_url):
        wait_until(lambda: "worker started" in log.read_text(), "the worker has started")
    assert "slot pauses" not in log.read_text()
    assert [one["part"] for one in told if one["event"] == "started"] == ["web", "jobs", "worker"]
    assert [one["part"] for one in told if one["event"] == "ended"] == ["worker", "jobs", "web"]
