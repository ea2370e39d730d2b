"""Files of OTLP exports, as the OpenTelemetry collector's file exporter writes them, message by message.

The first bytes of a file say how it is laid out; its name does not, because settings change the layout and a rotation
changes the name:

- lines of JSON (`format: json`);
- messages, each after its length in 4 bytes, big-endian (`format: proto`; under `compression: zstd` each message, in
  JSON, too, is a Zstandard frame);
- Zstandard frames with one of the two inside (`compression: zstd` under the feature gate for native compression).

Whoever writes a file may be in the middle of a message: an incomplete last one is left for the next reading. A last
line without its end is a message once it is a whole JSON object, as one that is cut off cannot be.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from resources.reading import PhoenixError
from resources.zstd_frames import MAGIC, decompressed, open_frames

SUFFIXES = frozenset({".jsonl", ".json", ".binpb", ".pb", ".proto", ".zst"})
LARGEST_MESSAGE = (1 << 27) - 1
"""Bytes. The first byte of a length is therefore below 8, and no line of text begins with such a byte."""
TAIL = 256
PIECE = 1 << 20
MOVE_FILE = "Move the file out of the folder of spans."

FileIdentity = tuple[int, int]
"""Device and inode. Two devices (by a link or a mount) may each have a file of the same inode."""


@dataclass(frozen=True)
class SpanFile:
    """An open file. Its identity stays when a rotation renames it; size and mtime_ns change with its content."""

    path: Path
    raw: io.BufferedReader
    identity: FileIdentity
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
    """The files of a folder by name, each once, open until the next one is asked for. Raises PhoenixError.

    A rotation renames a file and puts a new one in its place, so the folder is listed until there is nothing new.
    """
    seen: set[FileIdentity] = set()
    while found := [path for path, identity in _listed(folder) if identity not in seen]:
        for path in found:
            try:
                with path.open("rb") as raw:
                    stat = os.fstat(raw.fileno())
                    identity = _identity(stat)
                    if identity not in seen:
                        seen.add(identity)
                        yield SpanFile(path, raw, identity, stat.st_size, stat.st_mtime_ns)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _unreadable(path, error) from error


def messages_after(file: SpanFile, position: int = 0, fingerprint_there: str = "") -> Iterator[Message]:
    """The complete messages after a position of the file's content. Raises PhoenixError.

    All of them, where the bytes before the position do not have the fingerprint: the file was cut off or replaced.
    """
    try:
        if position:
            content = _content(file)
            messages = _sized_messages if _is_sized(content) else _lines
            tail = _skip(content, position)
            if fingerprint(tail) == fingerprint_there:
                yield from messages(file.path, content, position, tail)
                return
        content = _content(file)
        messages = _sized_messages if _is_sized(content) else _lines
        yield from messages(file.path, content, 0, b"")
    except OSError as error:
        raise _unreadable(file.path, error) from error


def fingerprint(tail: bytes) -> str:
    return hashlib.sha256(tail[-TAIL:]).hexdigest()[:16]


def _identity(stat: os.stat_result) -> FileIdentity:
    return stat.st_dev, stat.st_ino


def _listed(folder: Path) -> list[tuple[Path, FileIdentity]]:
    """Paths and identities of the folder's files."""
    try:
        with os.scandir(folder) as entries:
            named = [entry for entry in entries if os.path.splitext(entry.name)[1] in SUFFIXES]
            return sorted((Path(entry.path), _identity(entry.stat())) for entry in named if entry.is_file())
    except FileNotFoundError:
        # No folder yet, or a file that was renamed between its name and its identity.
        return _listed(folder) if folder.exists() else []
    except OSError as error:
        raise _unreadable(folder, error) from error


def _content(file: SpanFile) -> io.BufferedReader:
    """The file's content from its beginning, decompressed where all of it is compressed."""
    file.raw.seek(0)
    return open_frames(file.raw) if file.raw.peek(len(MAGIC)).startswith(MAGIC) else file.raw


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


def _lines(path: Path, content: io.BufferedReader, end: int, tail: bytes) -> Iterator[Message]:
    from_the_beginning = end == 0
    for number, line in enumerate(content, start=1):
        if not line.endswith(b"\n") and not _is_whole_object(line.strip()):
            return
        place = f"{path}:{number}" if from_the_beginning else f"{path}, the line at byte {end}"
        end, tail = end + len(line), (tail + line[-TAIL:])[-TAIL:]
        if text := line.strip():
            yield Message(text, True, end, tail, place, "Repair or remove the line.")


def _is_whole_object(text: bytes) -> bool:
    if not (text.startswith(b"{") and text.endswith(b"}")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


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
