"""One set of servers for all tests of a run; workers are made by each test."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
import stack as s  # noqa: E402


@pytest.fixture(scope="session")
def servers():
    with s.Stack() as running:
        running.start_broker()
        running.start_registry()
        running.start_key_broker("--allow-sample")
        yield running


@pytest.fixture
def manager(servers):
    connected = servers.manager()
    yield connected
    connected.close()
    servers.managers.remove(connected)


@pytest.fixture(scope="session")
def sample_worker(servers):
    """A worker with the sample TEE, for tests that leave it as they found it."""
    worker = servers.start_worker(PROPLET_TEE="sample")
    yield worker
    assert worker.stop() == 0


@pytest.fixture
def guests():
    return s.GUESTS


@pytest.fixture
def own():
    """A broker of the test's own, which it may stop."""
    with s.Stack() as stack:
        stack.start_broker()
        yield stack
