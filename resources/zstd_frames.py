"""Files of Zstandard frames, which another process may still be writing: their content up to the last whole frame.

What pyarrow decompresses must be complete, and it does not say where a frame ends. So the frames are found by their
headers, as RFC 8878, section 3.1, lays them out.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPABLE = range(0x184D2A50, 0x184D2A60)
PIECE = 1 << 20
DICTIONARY_ID_BYTES = (0, 1, 2, 4)
CONTENT_SIZE_BYTES = (0, 2, 4, 8)
BLOCK_RLE, BLOCK_RESERVED = 1, 3


def decompressed(frame: bytes) -> bytes:
    """The content of a whole frame, or of several one after the other. Raises OSError for a damaged one."""
    return b"".join(_pieces(frame))


def open_frames(file: BinaryIO) -> io.BufferedReader:
    """The content of all whole frames of a file, as a stream without a position. Reading raises OSError."""
    return io.BufferedReader(_Joined(piece for frame in whole_frames(file) for piece in _pieces(frame)), PIECE)


def whole_frames(file: BinaryIO) -> Iterator[bytes]:
    """The frames from the file's position on; a last one that is cut off is left out. Raises OSError."""
    while frame := _frame(file):
        if frame.startswith(MAGIC):
            yield frame


def _frame(file: BinaryIO) -> bytes | None:
    try:
        magic = _exactly(file, 4)
        if int.from_bytes(magic, "little") in SKIPPABLE:
            size = _exactly(file, 4)
            return magic + size + _exactly(file, int.from_bytes(size, "little"))
        if magic != MAGIC:
            raise OSError(f"a Zstandard frame begins with {magic.hex()}")
        descriptor = _exactly(file, 1)
        flags = descriptor[0]
        single_segment = bool(flags & 0x20)
        content_size = CONTENT_SIZE_BYTES[flags >> 6] or int(single_segment)
        header = _exactly(file, int(not single_segment) + DICTIONARY_ID_BYTES[flags & 0x03] + content_size)
        checksum = 4 if flags & 0x04 else 0
        return b"".join([magic, descriptor, header, *_blocks(file), _exactly(file, checksum)])
    except EOFError:
        return None


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    last = False
    while not last:
        head = _exactly(file, 3)
        value = int.from_bytes(head, "little")
        last, kind, size = bool(value & 1), value >> 1 & 0x03, value >> 3
        if kind == BLOCK_RESERVED:
            raise OSError("a Zstandard frame holds a block of a reserved type")
        yield head
        yield _exactly(file, 1 if kind == BLOCK_RLE else size)


def _exactly(file: BinaryIO, size: int) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise EOFError
    return content


def _pieces(frames: bytes) -> Iterator[bytes]:
    import pyarrow as pa

    with pa.CompressedInputStream(pa.BufferReader(frames), "zstd") as stream:
        while piece := stream.read(PIECE):
            yield piece


class _Joined(io.RawIOBase):
    """Pieces of bytes as one file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size
