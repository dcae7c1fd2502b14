"""The command line met with mistakes: each is one line that names the thing and the way out, and exit code 1 or 2."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

KEY = "-----BEGIN RSA PRIVATE KEY-----\\nZm9v\\n-----END RSA PRIVATE KEY-----"
NOTHING: Mapping[str, str] = {}
SERVER = {"GITHUB_APP_ID": "1", "GITHUB_PRIVATE_KEY": KEY, "GITHUB_WEBHOOK_SECRET": "s" * 32}


def trackside(
    folder: Path, *words: str, environ: Mapping[str, str] = NOTHING, close_stdin: bool = False
) -> subprocess.CompletedProcess[str]:
    """Somebody types `trackside ...` in a folder of their own."""
    script = 'exec "$@" <&-' if close_stdin else 'exec "$@" </dev/null'
    argv = ["/bin/sh", "-c", script, "sh", sys.executable, "-m", "app.cli", *words]
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": os.getcwd(), **environ}
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("words", [("runs",), ("confirm", "x"), ("secret", "list"), ("migrate",)])
def test_a_database_that_does_not_answer_is_named_with_its_place_and_without_its_password(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    url = "postgresql://u:hunter2hunter2@127.0.0.1:1/tracks"
    said = trackside(tmp_path, *words, environ=SERVER | {"DATABASE_URL": url})
    assert said.returncode == 1
    assert said.stderr.startswith("trackside: reaching the database at 127.0.0.1:1/tracks: ")
    assert said.stderr.endswith("; DATABASE_URL says where it is\n")
    assert "hunter2" not in said.stderr


def test_an_embedded_database_that_does_not_run_is_named_with_what_starts_it(tmp_path: Path) -> None:
    said = trackside(tmp_path, "stacks", environ=SERVER | {"DATA_DIR": str(tmp_path / "data")})
    assert (said.returncode, said.stderr) == (
        1,
        (
            f"trackside: reaching the embedded database in {tmp_path}/data/postgres: it does not run; start "
            "`trackside serve` with this DATA_DIR, or name another database by DATABASE_URL\n"
        ),
    )


@pytest.mark.parametrize(
    "words",
    [
        ("attestation", "verify", "-", "--key", "/dev/null"),
        ("policy", "eval", "/dev/null", "--input", "-"),
        ("secret", "set", "A", "--scope", "acme"),
        ("state", "push", "x", "-"),
    ],
)
def test_a_closed_stdin_is_an_empty_one(words: tuple[str, ...], tmp_path: Path) -> None:
    said = trackside(tmp_path, *words, close_stdin=True)
    assert said.returncode == 1
    assert said.stderr.startswith("trackside: ") or said.stdout
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize("port", ["-4", "99999999"])
def test_a_port_that_is_none_is_refused(port: str, tmp_path: Path) -> None:
    said = trackside(tmp_path, "sandbox", "--port", port)
    assert said.returncode == 2
    assert "Invalid value for '--port'" in said.stderr


def test_what_is_far_too_long_is_counted_and_not_repeated(tmp_path: Path) -> None:
    said = trackside(tmp_path, "policy", "check", "a" * 100_000)
    assert said.returncode == 2
    assert said.stderr.startswith("trackside: reading argument 3: it has 100,000 characters; at most 8,192 are taken")
    for words in (("policy", "test"), ("attestation", "verify", "--key", "/dev/null")):
        said = trackside(tmp_path, *words, "a\x1b[2J" + "a" * 5_000)
        assert (said.returncode, said.stderr.count("\n"), len(said.stderr) < 1_100) == (1, 1, True)
        assert "\x1b" not in said.stderr


def test_an_issuer_that_does_not_answer_is_named_with_what_can_be_done(tmp_path: Path) -> None:
    (tmp_path / "statement").write_text("{}")
    said = trackside(tmp_path, "attestation", "verify", "statement", "--issuer", "http://127.0.0.1:1")
    assert said.returncode == 1
    assert said.stderr.startswith("trackside: fetching the keys from http://127.0.0.1:1/")
    assert "it does not answer (ConnectError); --issuer takes the installation's PUBLIC_URL; --key FILE" in said.stderr


def test_something_outside_is_never_said_to_be_pending(tmp_path: Path) -> None:
    assert "<finished|skipped|failed>" in trackside(tmp_path, "external", "--help").stdout
    said = trackside(tmp_path, "external", "run", "quota", "pending")
    assert (said.returncode, "'finished', 'skipped', 'failed'" in said.stderr) == (2, True)


@pytest.mark.parametrize("part", ["serve", "web"])
def test_a_port_that_something_else_listens_on_is_named_before_anything_is_started(part: str, tmp_path: Path) -> None:
    """A worker would show its token there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        data = str(tmp_path / "data")
        said = trackside(tmp_path, part, environ=SERVER | {"PORT": str(port), "DATA_DIR": data})
    assert (said.returncode, said.stderr) == (
        1,
        (
            f"trackside: listening on 127.0.0.1:{port}: Address already in use; set HOST and PORT to an address of "
            "this machine that nothing else listens on\n"
        ),
    )
    assert not (tmp_path / "data" / "postgres").exists()


def test_the_version_is_the_installed_one(tmp_path: Path) -> None:
    said = trackside(tmp_path, "--version")
    assert (said.returncode, said.stdout) == (0, f"trackside {version('trackside')}\n")
