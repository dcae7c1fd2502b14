"""Database fixtures for every room: `database_url` is a fresh, migrated database, `store` a store on it."""

from collections.abc import Iterator
from typing import Final

import pytest

from app.store.postgres import PostgresStore
from tests.aws import GIVEN_S3, running_moto
from tests.database import made_database, made_store, made_template, running_server

LONG: Final = ("test_aws_provider.py", "/chaos/", "/journeys/", "/flows/", "/worker/")
"""Files whose tests take seconds each, the longest first: begun first, so that short ones fill what is left at the end.
`--no-loadscope-reorder` has the processes take files in this order."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first; the order within a file stays."""
    items.sort(key=lambda item: next((at for at, part in enumerate(LONG) if part in str(item.path)), len(LONG)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tests that failed and got another try (`--reruns`) are told with why: each is a race, of its own or of ours."""
    failures = terminalreporter.getreports("rerun")
    if failures:
        terminalreporter.section("FAILED ONCE, TRIED AGAIN: look into them", sep="=", yellow=True)
    for report in failures:
        terminalreporter.section(report.nodeid, sep="_")
        terminalreporter.line(report.longreprtext)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A running PostgreSQL, one per test process."""
    with running_server() as url:
        yield url


@pytest.fixture(scope="session")
def database_template(server_url: str) -> Iterator[str]:
    """The name of a migrated database that is copied per test."""
    with made_template(server_url) as name:
        yield name


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """A fresh database without any table."""
    with made_database(server_url) as url:
        yield url


@pytest.fixture
def database_url(server_url: str, database_template: str) -> Iterator[str]:
    """A fresh database with every migration."""
    with made_database(server_url, template=database_template) as url:
        yield url


@pytest.fixture
def store(database_url: str) -> Iterator[PostgresStore]:
    """A store on a fresh database."""
    with made_store(database_url) as made:
        yield made


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """A stand-in of AWS, S3 and KMS, over real HTTP."""
    with running_moto() as url:
        yield url


@pytest.fixture(scope="session")
def s3_url(moto_url: str) -> str:
    """The S3 server that tests use: `TEST_S3_ENDPOINT_URL`, else the stand-in."""
    return GIVEN_S3 or moto_url
