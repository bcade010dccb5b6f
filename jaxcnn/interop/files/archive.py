"""Zip files, read strictly: the directory once, then each entry straight into its array.

`zipfile` trusts what it reads: entries may overlap, share a name, or expand a thousandfold.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from jaxcnn.interop.files.checkpoint import Limits, Refused, require

_CHUNK = 2**18  # stays in the cache for the checksum
_STORED, _DEFLATED = 0, 8
_WIDE = 2**32 - 1  # the size is in the zip64 field
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")


@dataclasses.dataclass(frozen=True)
class Entry:
    """An entry of the directory; sizes and `offset` (of its own header) in bytes."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    compressed: int
    size: int
    offset: int
    stop: int = 0


class Reader:
    """The bytes of one entry, in order, with their checksum."""

    def __init__(self, file: FileIO, entry: Entry) -> None:
        self._file, self._entry = file, entry
        self._left, self._crc, self._taken = entry.compressed, 0, 0
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method else None

    def fill(self, out: memoryview) -> None:
        """Fills all of `out`, which must be bytes."""
        done = 0
        while done < len(out):
            part = out[done : done + _CHUNK]
            n = self._stored(part) if self._inflate is None else self._inflated(part)
            require(n > 0, "the file must not end inside an entry", entry=self._entry.name)
            self._crc = zlib.crc32(part[:n], self._crc)
            done += n
        self._taken += done

    def read(self, n: int) -> bytes:
        """The next `n` bytes."""
        out = bytearray(n)
        self.fill(memoryview(out))
        return bytes(out)

    def finish(self) -> None:
        """Raises Refused unless all was read and is what the directory says."""
        entry = self._entry
        rule = "an entry must be as long as the directory says"
        whole = self._taken == entry.size and (self._inflate is None or self._at_end())
        require(whole, rule, entry=entry.name)
        rule = "the CRC of an entry must be the one in the directory"
        require(self._crc == entry.crc, rule, "the file is damaged", entry=entry.name)

    def _stored(self, out: memoryview) -> int:
        n = self._file.readinto(out[: self._left])  # pyright: ignore[reportAttributeAccessIssue]
        self._left -= n
        return n

    def _inflated(self, out: memoryview) -> int:
        assert self._inflate is not None
        while not self._inflate.eof:
            data = self._inflate.unconsumed_tail or self._file.read(min(2**16, self._left))
            self._left -= 0 if self._inflate.unconsumed_tail else len(data)
            try:
                piece = self._inflate.decompress(data, len(out))
            except zlib.error as error:
                rule = "a deflated entry must be whole"
                raise Refused(rule, str(error), entry=self._entry.name) from None
            if piece or not data:
                out[: len(piece)] = piece
                return len(piece)
        return 0

    def _at_end(self) -> bool:
        return self._inflated(memoryview(bytearray(1))) == 0 and self._left == 0


class Archive:
    """A zip file.

    Args:
      path: The file.
      file: The same, open.
      size: Its bytes.
      limits: `metadata_bytes` bounds the directory, `tensors` its entries.

    Attributes:
      entries: The entries by name, in the order of the file.
    """

    def __init__(self, path: Path, file: BinaryIO, size: int, limits: Limits) -> None:
        self._path, self._limits = path, limits
        count, length, start = _find_directory(file, size)
        rule = f"a zip directory must have at most {limits.tensors} entries"
        require(count <= limits.tensors, rule, "raise limits.tensors", entries=count)
        rule = f"a zip directory must have at most {limits.metadata_bytes} bytes"
        require(length <= limits.metadata_bytes, rule, "raise limits.metadata_bytes", bytes=length)
        file.seek(start)
        listed = [*_parse_directory(file.read(length), count)]
        listed.sort(key=lambda entry: entry.offset)
        self.entries: dict[str, Entry] = {}
        for i, entry in enumerate(listed):
            stop = listed[i + 1].offset if i + 1 < len(listed) else start
            least = entry.offset + _LOCAL.size + len(entry.raw_name) + entry.compressed
            require(least <= stop, "zip entries must not overlap", entry=entry.name)
            require(entry.name not in self.entries, "zip entries must differ", entry=entry.name)
            self.entries[entry.name] = dataclasses.replace(entry, stop=stop)

    @contextmanager
    def open(self, name: str) -> Iterator[Reader]:
        """Opens an entry; when the block ends, all of it must have been read.

        Each has a file handle of its own, so that threads can read several at once.
        """
        with self._path.open("rb", buffering=0) as file:
            reader = self._checked(file, self.entries[name])
            yield reader
            reader.finish()

    def _checked(self, file: FileIO, entry: Entry) -> Reader:
        """A reader at the start of the data, if the header there agrees with the directory."""
        name = entry.name
        require(not entry.flags & 1, "an entry must not be encrypted", entry=name)
        known = entry.method in (_STORED, _DEFLATED)
        require(known, "an entry must be stored or deflated", entry=name, method=entry.method)
        same = entry.method == _DEFLATED or entry.compressed == entry.size
        require(same, "a stored entry must have one size", entry=name)
        file.seek(entry.offset)
        header = file.read(_LOCAL.size)
        rule = "the header of an entry must be as in the directory"
        require(len(header) == _LOCAL.size, rule, entry=name)
        magic, _, flags, method, _, _, crc, compressed, size, n, extra = _LOCAL.unpack(header)
        found = magic, flags, method, file.read(n)
        agrees = found == (b"PK\x03\x04", entry.flags, entry.method, entry.raw_name)
        if not flags & 8:  # with this flag, sizes and CRC come after the data
            agrees &= crc == entry.crc
            agrees &= compressed in (entry.compressed, _WIDE) and size in (entry.size, _WIDE)
        require(agrees, rule, entry=name)
        start = entry.offset + _LOCAL.size + n + extra
        require(start + entry.compressed <= entry.stop, "zip entries must not overlap", entry=name)
        file.seek(start)
        return Reader(file, entry)

    def read(self, name: str) -> bytes:
        """All of a small entry."""
        size, most = self.entries[name].size, self._limits.metadata_bytes
        rule = f"an entry of metadata must have at most {most} bytes"
        require(size <= most, rule, "raise limits.metadata_bytes", entry=name, bytes=size)
        with self.open(name) as reader:
            return reader.read(size)


def _find_directory(file: BinaryIO, size: int) -> tuple[int, int, int]:
    """Number of entries, bytes and offset of the directory."""
    tail_start = max(0, size - _END.size - 2**16)
    file.seek(tail_start)
    tail = file.read(size - tail_start)
    at = tail.rfind(b"PK\x05\x06")
    rule = "a zip file must end with its directory"
    require(at >= 0 and at + _END.size <= len(tail), rule, "it is cut off or damaged")
    _, disk, first, here, count, length, start, comment = _END.unpack_from(tail, at)
    end = tail_start + at
    require(end + _END.size + comment == size, rule, "it is cut off or damaged")
    if at >= _LOCATOR.size and tail[at - _LOCATOR.size :].startswith(b"PK\x06\x07"):
        _, disk, at_64, disks = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)
        rule = "the zip64 end of directory must lie before the end"
        require(at_64 + _END_64.size <= end - _LOCATOR.size and disks == 1, rule)
        file.seek(at_64)
        magic, _, _, _, _, first, here, count, length, start = _END_64.unpack(
            file.read(_END_64.size)
        )
        require(magic == b"PK\x06\x06", rule)
        end = at_64
    require(disk == first == 0 and here == count, "a zip file must be in one part")
    rule = "the zip directory must lie where the file says"
    require(start + length <= end, rule, start=start, bytes=length)
    return count, length, start


def _parse_directory(data: bytes, count: int) -> Iterator[Entry]:
    at, rule = 0, "the zip directory must be well-formed"
    for _ in range(count):
        require(at + _CENTRAL.size <= len(data), rule)
        fields = _CENTRAL.unpack_from(data, at)
        magic, _, _, flags, method, _, _, crc, compressed, size = fields[:10]
        n, extra, comment, disk, _, _, offset = fields[10:]
        at += _CENTRAL.size
        whole = at + n + extra + comment <= len(data)
        require(magic == b"PK\x01\x02" and whole and disk in (0, 0xFFFF), rule)
        raw_name = data[at : at + n]
        try:
            name = raw_name.decode("utf-8" if flags & 0x800 else "cp437")
        except UnicodeDecodeError:
            raise Refused("names of zip entries must be text", name=raw_name) from None
        wide = _wide_sizes(data[at + n : at + n + extra])
        sizes = [next(wide, v) if v == _WIDE else v for v in (size, compressed, offset)]
        at += n + extra + comment
        yield Entry(name, raw_name, flags, method, crc, sizes[1], sizes[0], sizes[2])
    require(at == len(data), rule)


def _wide_sizes(extra: bytes) -> Iterator[int]:
    """The 64-bit sizes in the zip64 field, in their order."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            field = extra[at + 4 : at + 4 + length]
            yield from (v for (v,) in struct.iter_unpack("<Q", field[: len(field) // 8 * 8]))
            return
        at += 4 + length
