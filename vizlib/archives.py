"""Strict reading of `.keras` archives: ZIP files that hold exactly what Keras writes.

The directory is parsed here and not by `zipfile`, so that there is one reading of the file: every
byte belongs to a known member, no name comes twice, and nothing is unpacked to a disk.
"""

from __future__ import annotations

import io
import stat
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from vizlib.budgets import (
    EXPANSION_FLOOR,
    MAX_DIRECTORY_BYTES,
    MAX_EXPANSION,
    MAX_FILE_BYTES,
    MAX_JSON_BYTES,
    MAX_MEMBERS,
    MIB,
)
from vizlib.errors import ModelLoadError, UnsafeModelError

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_LIMITS = {CONFIG: MAX_JSON_BYTES, METADATA: MAX_JSON_BYTES, WEIGHTS: MAX_FILE_BYTES}

_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _SIZES_FOLLOW = 0x1, 0x8
_DESCRIPTOR_SIZES = {0, 12, 16, 20, 24}  # between the data and what comes next

# What people upload instead, by a member's name or its end.
_OTHER_ARCHIVES = {
    "saved_model.pb": "a TensorFlow SavedModel. Convert it with the Keras that wrote it: "
    'keras.models.load_model(folder).save("model.keras")',
    "data.pkl": "a PyTorch file. Rebuild the network in Keras and save it with "
    'model.save("model.keras")',
    ".npy": "a NumPy archive of arrays without an architecture. Save the whole model with "
    'model.save("model.keras")',
    ".npz": "a .keras file whose weights are a NumPy archive. Save the model again with "
    'model.save("model.keras")',
    "model.weights.json": "a .keras file whose weights are in several files. Save it again "
    "without max_shard_size",
    ".keras": "an archive with a .keras file inside. Unpack it once and load what comes out",
    ".h5": "an archive with an .h5 file inside. Unpack it once and load what comes out",
}


@dataclass(frozen=True)
class Member:
    """One file of an archive.

    Attributes
    ----------
    name : str
    method : int
        How it is compressed: 0 not at all, 8 deflated.
    checksum : int
        CRC-32 of the content.
    packed, size : int
        Bytes in the archive, and once unpacked.
    start : int
        Where its local header is, in bytes from the start of the archive.
    data : int
        Where its content is.
    """

    name: str
    method: int
    checksum: int
    packed: int
    size: int
    start: int
    data: int


class Window(io.RawIOBase):
    """A part of a binary file as a file of its own, read without copying it first."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, as in any file."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill ``buffer`` from the present position; fewer bytes come at the end."""
        count = max(0, min(len(buffer), self._size - self._at))
        self._file.seek(self._start + self._at)
        content = self._file.read(count)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)


def read_directory(file: BinaryIO, size: int) -> dict[str, Member]:
    """Find the members of a `.keras` archive, refusing whatever Keras does not write.

    Parameters
    ----------
    file : binary file
    size : int
        Its length in bytes.

    Returns
    -------
    dict of str to Member
        ``metadata.json``, ``config.json`` and ``model.weights.h5``.
    """
    count, start, length = _end_record(file, size)
    file.seek(start)
    entries, members, at = file.read(length), [], 0
    for _ in range(count):
        member, at = _entry(file, entries, at)
        members.append(member)
    if at != length:
        raise _damaged("the directory of the archive is longer than its members need")
    _check_coverage(members, start)
    _check_names([member.name for member in members])
    files = {member.name: member for member in members if not member.name.endswith("/")}
    for member in files.values():
        _check_size(member)
    return files


def open_member(file: BinaryIO, member: Member) -> BinaryIO:
    """Give one member as a binary file; it is never unpacked beyond its declared size."""
    if member.method == _STORED:
        return _stored(file, member)
    file.seek(member.data)
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = unpacker.decompress(file.read(member.packed), member.size + 1)
    except zlib.error as error:
        raise _damaged(f"{member.name} cannot be unpacked ({error})") from error
    if len(content) != member.size or not unpacker.eof or unpacker.unused_data:
        raise _damaged(f"{member.name} does not unpack to the {member.size:,} bytes it declares")
    _compare_checksum(zlib.crc32(content), member)
    return io.BytesIO(content)


def _stored(file: BinaryIO, member: Member) -> BinaryIO:
    file.seek(member.data)
    checksum, left = 0, member.size
    while left and (block := file.read(min(left, MIB))):
        checksum, left = zlib.crc32(block, checksum), left - len(block)
    _compare_checksum(checksum, member)
    return Window(file, member.data, member.size)  # type: ignore[return-value]


def _compare_checksum(checksum: int, member: Member) -> None:
    if checksum != member.checksum:
        raise _damaged(f"the checksum of {member.name} is wrong")


def _end_record(file: BinaryIO, size: int) -> tuple[int, int, int]:
    """Give number of members, start and length of the directory."""
    file.seek(max(0, size - _END.size))
    record = file.read(_END.size)
    if len(record) < _END.size or record[:4] != b"PK\x05\x06":
        raise _damaged("it is cut off, or has something behind its end")
    _, disk, first, here, count, length, start, comment = _END.unpack(record)
    if disk or first or here != count or comment or 0xFFFF in (here, count):
        raise _damaged("its end record is not one that Keras writes")
    if count > MAX_MEMBERS or length > MAX_DIRECTORY_BYTES:
        raise ModelLoadError(
            f"Expected a .keras archive of at most {MAX_MEMBERS} members, listed in at most "
            f"{MAX_DIRECTORY_BYTES:,} bytes. Received one with {count:,} members in {length:,} "
            "bytes. Save the model again without assets."
        )
    if start + length != size - _END.size:
        raise _damaged("it has something in front of it, or between its parts")
    return count, start, length


def _entry(file: BinaryIO, entries: bytes, at: int) -> tuple[Member, int]:
    if at + _ENTRY.size > len(entries):
        raise _damaged("its directory is cut off")
    entry = _ENTRY.unpack_from(entries, at)
    flags, method, checksum, packed, size = entry[3], entry[4], *entry[7:10]
    name_size, extra_size, comment_size, disk = entry[10:14]
    attributes, start = entry[15], entry[16]
    end = at + _ENTRY.size + name_size
    name = entries[at + _ENTRY.size : end]
    if entry[0] != b"PK\x01\x02" or disk or len(name) != name_size:
        raise _damaged("its directory does not list members")
    if flags & _ENCRYPTED:
        raise ModelLoadError("Expected an open archive. Received an encrypted one. Decrypt it.")
    if method not in (_STORED, _DEFLATED) or (method == _STORED and packed != size):
        raise _damaged(f"member {name!r} is compressed in a way that Keras does not use")
    if stat.S_ISLNK(attributes >> 16):
        raise _outside(f"the symbolic link {_text(name)!r}")
    member = Member(
        _text(name), method, checksum, packed, size, start, _data_start(file, start, entry, name)
    )
    return member, end + extra_size + comment_size


def _data_start(file: BinaryIO, start: int, entry: tuple, name: bytes) -> int:
    """Read a member's local header, which has to agree with the directory."""
    file.seek(start)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size:
        raise _damaged(f"member {name!r} lies outside of it")
    local = _LOCAL.unpack(header)
    same = local[2:4] == entry[3:5] and file.read(local[9]) == name
    if local[0] != b"PK\x03\x04" or not same:
        raise _damaged(f"member {name!r} is listed with another name or method than it has")
    return start + _LOCAL.size + local[9] + local[10]


def _check_coverage(members: list[Member], directory: int) -> None:
    """Every byte in front of the directory belongs to one member, and to one only."""
    ordered = sorted(members, key=lambda member: member.start)
    ends = [member.start for member in ordered[1:]] + [directory]
    if ordered and ordered[0].start != 0:
        raise _damaged("it has something in front of its first member")
    for member, end in zip(ordered, ends, strict=True):
        if end - member.data - member.packed not in _DESCRIPTOR_SIZES:
            raise _damaged(f"member {member.name!r} overlaps its neighbour, or leaves a gap")


def _check_names(names: list[str]) -> None:
    for name in names:
        parts = name.replace("\\", "/").split("/")
        if name[:1] in ("/", "\\") or ".." in parts or ":" in name or "\0" in name:
            raise _outside(f"the member {name[:80]!r}")
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UnsafeModelError(
            f"Expected every member of a .keras archive once. Received {sorted(twice)[0]!r} twice, "
            "so that two programs would read two different models. Ask for another copy."
        )
    files = {name for name in names if not name.endswith("/")}
    if CONFIG not in files:
        _refuse_other_archive(files)
    extra = sorted(files - set(_LIMITS))
    missing = sorted(set(_LIMITS) - files)
    if extra or missing:
        _refuse_members(extra, missing)


def _refuse_other_archive(files: set[str]) -> None:
    for end, what in _OTHER_ARCHIVES.items():
        if any(name.endswith(end) for name in files - {WEIGHTS}):
            raise ModelLoadError(f"Expected a Keras model file (.keras or .h5). Received {what}.")


def _refuse_members(extra: list[str], missing: list[str]) -> None:
    for end, what in _OTHER_ARCHIVES.items():
        if any(name == f"model.weights{end}" or name == end for name in extra):
            raise ModelLoadError(f"Expected a Keras model file (.keras or .h5). Received {what}.")
    if missing:
        raise ModelLoadError(
            f"Expected a whole model. Received an archive without {', '.join(missing)}. "
            'Save the whole model with model.save("model.keras").'
        )
    raise ModelLoadError(
        f"Expected a .keras archive of {', '.join(_LIMITS)} only. Received also "
        f"{', '.join(repr(name[:80]) for name in extra[:3])}. Files that layers bring along, such "
        "as vocabularies, are not opened: leave those layers out and save the model again."
    )


def _check_size(member: Member) -> None:
    limit = _LIMITS[member.name]
    if member.size > limit:
        raise ModelLoadError(
            f"Expected {member.name} to be at most {limit // MIB} MiB. "
            f"Received {member.size / MIB:,.0f} MiB. Use a smaller network."
        )
    if member.size > max(EXPANSION_FLOOR, MAX_EXPANSION * member.packed):
        raise ModelLoadError(
            f"Expected {member.name} to unpack to at most {MAX_EXPANSION} times its stored size. "
            f"Received {member.packed:,} bytes that unpack to {member.size:,}. "
            "Save the model again without compressing the archive."
        )


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _outside(what: str) -> UnsafeModelError:
    return UnsafeModelError(
        f"Expected an archive of plain files. Received {what}, which reaches out of the archive. "
        "Do not open this file elsewhere either."
    )


def _damaged(how: str) -> ModelLoadError:
    return ModelLoadError(
        f"Expected a .keras archive as Keras writes it. In this one {how}. "
        'Download it again, or save the model again with model.save("model.keras").'
    )
