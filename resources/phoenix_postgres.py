"""The PostgreSQL road."""

from contextlib import contextmanager


@contextmanager
def open_postgres_road(*_a):
    raise NotImplementedError
    yield
