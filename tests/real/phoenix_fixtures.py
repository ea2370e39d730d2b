"""Phoenix servers for the real suites, one without and one with authentication, each started once a session.

A suite uses them by importing the fixtures. pytest would then run a session fixture once for each suite, so the
servers are kept in the session's stash.
"""

from __future__ import annotations

import pytest

from tests.real.services.free_port import free_port
from tests.real.services.phoenix_server import RunningPhoenix, start_phoenix

OPEN_SERVER = pytest.StashKey[RunningPhoenix]()
GUARDED_SERVER = pytest.StashKey[RunningPhoenix]()


@pytest.fixture(scope="session")
def phoenix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunningPhoenix:
    """A server that asks for no key. Suites keep apart by the names of their projects."""
    return _server(request, tmp_path_factory, OPEN_SERVER, auth=False)


@pytest.fixture(scope="session")
def guarded_phoenix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunningPhoenix:
    """A server that asks for a key; it carries a valid one."""
    return _server(request, tmp_path_factory, GUARDED_SERVER, auth=True)


def _server(
    request: pytest.FixtureRequest,
    directories: pytest.TempPathFactory,
    key: pytest.StashKey[RunningPhoenix],
    *,
    auth: bool,
) -> RunningPhoenix:
    stash = request.config.stash
    if key not in stash:
        server = start_phoenix(directories.mktemp("phoenix"), free_port(), free_port(), auth=auth)
        request.config.add_cleanup(server.stop)
        stash[key] = server
    return stash[key]
