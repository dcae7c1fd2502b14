"""A database that is too old is told before anything is done with it."""

import socket
import threading
from collections.abc import Iterator

import pytest

from app.core.errors import UserError
from app.store.reach import check_reachable

_GREETING = b"R\0\0\0\x08\0\0\0\0" + b"S\0\0\0\x19server_version\0%s\0" + b"Z\0\0\0\x05I"
"""Come in; the version, of five characters; ready.

Source: https://www.postgresql.org/docs/current/protocol-message-formats.html
"""


@pytest.fixture
def old_server() -> Iterator[str]:
    """The URL of a server that greets as PostgreSQL 14, and knows nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            with listening.accept()[0] as peer:
                peer.recv(8_192)
                peer.sendall(_GREETING % b"14.11")
                peer.recv(8_192)

        serving = threading.Thread(target=greet, daemon=True)
        serving.start()
        yield f"postgresql://ada:secret@127.0.0.1:{listening.getsockname()[1]}/tracks?sslmode=disable"
        serving.join(10)


def test_a_server_before_15_is_named_with_the_way_out(old_server: str) -> None:
    with pytest.raises(UserError) as caught:
        check_reachable(old_server)
    said = str(caught.value)
    assert "/tracks: it is PostgreSQL 14, and 15 or newer is needed; upgrade it, or name another" in said
    assert "secret" not in said


def test_the_one_that_ships_is_new_enough(database_url: str) -> None:
    check_reachable(database_url)
