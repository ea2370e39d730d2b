"""The MCP road."""

from contextlib import contextmanager


@contextmanager
def open_mcp_road(*_a):
    raise NotImplementedError
    yield
