"""Files of OTLP exports, as the OpenTelemetry collector's file exporter writes them, message by message.

The first bytes of a file say how it is laid out; its name does not, because settings change the layout and a rotation
changes the name:

- lines of JSON (`format: json`);
- messages, each after its length in 4 bytes, big-endian (`format: proto`; under `compression: zstd` each message, in
  JSON, too, is a Zstandard frame);
- Zstandard frames with one of the two inside (`compression: zstd` under the feature gate for native compression).

Whoever writes a file may be in the middle of a message: an incomplete last one is left for the next reading.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from resources.reading import PhoenixError
from resources.zstd_frames import MAGIC, decompressed, open_frames

SUFFIXES = frozenset({".jsonl", ".json", ".binpb", ".pb", ".proto", ".zst"})
LARGEST_MESSAGE = (1 << 27) - 1
"""Bytes. The first byte of a length is therefore below 8, and no line of text begins with such a byte."""
TAIL = 256
PIECE = 1 << 20
MOVE_FILE = "Move the file out of the folder of spans."


@dataclass(frozen=True)
class SpanFile:
    """A file as it was found. The inode stays when a rotation renames it; size and mtime_ns change with its content."""

    path: Path
    inode: int
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Message:
    """A complete message. `end` is where it ends in the file's content, `tail` the bytes of the content before that."""

    content: bytes
    is_json: bool
    end: int
    tail: bytes
    place: str
    remedy: str

    def error(self, reason: str) -> PhoenixError:
        return PhoenixError(f"{self.place}: {reason}. {self.remedy}", retryable=False)


def span_files(folder: Path) -> Iterator[SpanFile]:
    """The files of a folder by name, each once, and in the end those that came meanwhile. Raises PhoenixError.

    A rotation renames a file and puts a new one in its place: whoever lists the names only once may miss one of them.
    """
    seen: set[int] = set()
    while found := [file for file in _listed(folder) if file.inode not in seen]:
        for file in found:
            seen.add(file.inode)
            yield file


def messages_after(file: SpanFile, position: int = 0, fingerprint_there: str = "") -> Iterator[Message]:
    """The complete messages after a position of the file's content. Raises PhoenixError.

    All of them, where the bytes before the position do not have the fingerprint: the file was cut off or replaced.
    """
    try:
        if position:
            with _open_content(file) as content:
                sized = _is_sized(content)
                tail = _skip(content, position)
                if fingerprint(tail) == fingerprint_there:
                    yield from _messages(file.path, content, sized, position, tail)
                    return
        with _open_content(file) as content:
            yield from _messages(file.path, content, _is_sized(content), 0, b"")
    except FileNotFoundError:
        # Renamed since it was listed; the next list has it under its new name.
        return
    except OSError as error:
        raise _unreadable(file.path, error) from error


def fingerprint(tail: bytes) -> str:
    return hashlib.sha256(tail[-TAIL:]).hexdigest()[:16]


def _listed(folder: Path) -> list[SpanFile]:
    files = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if os.path.splitext(entry.name)[1] in SUFFIXES and (file := _file(Path(entry.path))):
                    files.append(file)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(folder, error) from error
    return sorted(files, key=lambda file: file.path)


def _file(path: Path) -> SpanFile | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return SpanFile(path, stat.st_ino, stat.st_size, stat.st_mtime_ns) if S_ISREG(stat.st_mode) else None


@contextmanager
def _open_content(file: SpanFile) -> Iterator[io.BufferedReader]:
    """The file's content, decompressed where all of it is. Raises FileNotFoundError where another has its name now."""
    with file.path.open("rb") as raw:
        if os.fstat(raw.fileno()).st_ino != file.inode:
            raise FileNotFoundError(file.path)
        yield open_frames(raw) if raw.peek(len(MAGIC)).startswith(MAGIC) else raw


def _is_sized(content: io.BufferedReader) -> bool:
    first = content.peek(1)[:1]
    return bool(first) and first[0] <= LARGEST_MESSAGE >> 24


def _skip(content: io.BufferedReader, position: int) -> bytes:
    """Go to the position, and give the bytes before it."""
    start = max(position - TAIL, 0)
    if content.seekable():
        content.seek(start)
    while not content.seekable() and start:
        piece = content.read(min(start, PIECE))
        if not piece:
            break
        start -= len(piece)
    return content.read(min(position, TAIL))


def _messages(path: Path, content: io.BufferedReader, sized: bool, end: int, tail: bytes) -> Iterator[Message]:
    return _sized_messages(path, content, end, tail) if sized else _lines(path, content, end, tail)


def _lines(path: Path, content: io.BufferedReader, end: int, tail: bytes) -> Iterator[Message]:
    from_the_beginning = end == 0
    for number, line in enumerate(content, start=1):
        if not line.endswith(b"\n"):
            return
        place = f"{path}:{number}" if from_the_beginning else f"{path}, the line at byte {end}"
        end, tail = end + len(line), (tail + line[-TAIL:])[-TAIL:]
        if text := line.strip():
            yield Message(text, True, end, tail, place, "Repair or remove the line.")


def _sized_messages(path: Path, content: io.BufferedReader, end: int, tail: bytes) -> Iterator[Message]:
    while len(head := content.read(4)) == 4:
        size = int.from_bytes(head, "big")
        place = f"{path}, the message at byte {end}"
        if size > LARGEST_MESSAGE:
            reason = f"{place}: a length of {size} bytes is no message's, so what stands before it is damaged"
            raise PhoenixError(f"{reason}. {MOVE_FILE}", retryable=False)
        message = content.read(size)
        if len(message) < size:
            return
        end, tail = end + 4 + size, (tail + head + message[-TAIL:])[-TAIL:]
        whole = decompressed(message) if message.startswith(MAGIC) else message
        yield Message(whole, whole.startswith(b"{"), end, tail, place, MOVE_FILE)


def _unreadable(path: Path, error: OSError) -> PhoenixError:
    return PhoenixError(
        f"{path} cannot be read ({error}): let the pipeline's user read it, or move it out of the folder of spans.",
        retryable=False,
    )
