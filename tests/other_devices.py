"""Files as they are where a folder holds links to, or mounts of, other devices."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock


@contextmanager
def each_file_on_its_own_device() -> Iterator[None]:
    """Every file seems to be on a device of its own, where all have the same inode.

    A real second device takes a mount, which only root may make.
    """
    scandir, fstat = os.scandir, os.fstat

    def moved(stat: os.stat_result) -> Any:
        return SimpleNamespace(st_dev=stat.st_ino, st_ino=7, st_size=stat.st_size, st_mtime_ns=stat.st_mtime_ns)

    def moved_entry(entry: os.DirEntry[str]) -> Any:
        return SimpleNamespace(
            name=entry.name, path=entry.path, is_file=entry.is_file, stat=lambda: moved(entry.stat())
        )

    @contextmanager
    def moved_entries(folder: Any) -> Iterator[list[Any]]:
        with scandir(folder) as entries:
            yield [moved_entry(entry) for entry in entries]

    with (
        mock.patch("resources.otlp_files.os.scandir", moved_entries),
        mock.patch("resources.otlp_files.os.fstat", lambda number: moved(fstat(number))),
    ):
        yield
