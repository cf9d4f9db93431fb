# SPDX-License-Identifier: Apache-2.0
"""Small files that are large inside, or endless, or cost more to read than to send.  Made in seconds."""

import bz2
import io
import lzma
import struct
import sys
import tarfile
import zlib

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GB = 10**9
_PIECE = 16 << 20


def gzip_of(piece: bytes, times: int) -> bytes:
    """A gzip file of ``piece``, ``times`` over; compressed once: a full flush forgets what was."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflate.compress(piece) + deflate.flush(zlib.Z_FULL_FLUSH)
    # nobody comes as far as the checksum
    return b"\x1f\x8b\x08\0\0\0\0\0\0\3" + block * times + b"\3\0" + struct.pack("<LL", 0, 0)


def gzip_zeros(size: int) -> bytes:
    """At least ``size`` zeros, a thousandth of it long."""
    return gzip_of(bytes(_PIECE), size // _PIECE + 1)


def members(codec: str, size: int) -> bytes:
    """The same in members that follow each other, which all of these formats allow."""
    zeros = bytes(_PIECE)
    packed = {
        "xz": lambda: lzma.compress(zeros, preset=0),
        "bz2": lambda: bz2.compress(zeros),
        "zst": lambda: zstd.compress(zeros),
    }[codec]()
    return packed * (size // _PIECE + 1)


def zip_zeros(size: int, name: str = "{}/testrepository.subunit") -> bytes:
    """Four entries; names that somebody wants to read."""
    each = size // 4
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflate.compress(bytes(_PIECE)) + deflate.flush(zlib.Z_FULL_FLUSH)
    data = block * (each // _PIECE + 1) + b"\3\0"
    sizes = (0, len(data), (each // _PIECE + 1) * _PIECE)
    out, directory = io.BytesIO(), b""
    for number in range(4):
        entry = name.format(number).encode()
        common = struct.pack("<HHHHH", 20, 0, 8, 0, 0) + struct.pack("<LLL", *sizes)
        directory += struct.pack("<4sH", b"PK\1\2", 20) + common
        directory += struct.pack("<HHHHHLL", len(entry), 0, 0, 0, 0, 0, out.tell()) + entry
        out.write(b"PK\3\4" + common + struct.pack("<HH", len(entry), 0) + entry + data)
    start = out.tell()
    end = struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, 4, 4, len(directory), start, 0)
    return out.getvalue() + directory + end


def zip_entries(count: int) -> bytes:
    """A directory of that many entries, all of them the same empty one."""
    name = b"a.subunit"
    common = struct.pack("<HHHHHLLL", 20, 0, 0, 0, 0, 0, 0, 0)
    local = b"PK\3\4" + common + struct.pack("<HH", len(name), 0) + name
    entry = struct.pack("<4sH", b"PK\1\2", 20) + common
    entry += struct.pack("<HHHHHLL", len(name), 0, 0, 0, 0, 0, 0) + name
    directory = entry * count
    said = min(count, 0xFFFF)
    return (
        local
        + directory
        + struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, said, said, len(directory), len(local), 0)
    )


def tar_entries(count: int) -> bytes:
    """A compressed tar of that many empty files."""
    header = tarfile.TarInfo("a.subunit").tobuf()
    each = _PIECE // len(header)
    return gzip_of(header * each, count // each + 1)


def tar_zeros(size: int) -> bytes:
    """A compressed tar of one file that somebody wants to read."""
    info = tarfile.TarInfo("testrepository.subunit")
    info.size = (size // _PIECE + 1) * _PIECE
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = deflate.compress(info.tobuf(tarfile.GNU_FORMAT)) + deflate.flush()
    return head + gzip_zeros(size)


def gzip_text(piece: str, times: int, *, before: str = "", after: str = "") -> bytes:
    """``piece`` many times over, compressed."""
    chunk = max(1, _PIECE // len(piece))
    deflate = zlib.compressobj(6, zlib.DEFLATED, 31)
    parts = [deflate.compress(before.encode())]
    parts += [deflate.compress((piece * chunk).encode()) for _ in range(times // chunk)]
    parts += [deflate.compress((piece * (times % chunk) + after).encode()), deflate.flush()]
    return b"".join(parts)


def subunit_claims(size: int) -> bytes:
    """Heads of subunit packets that claim 4 MiB each and hold nothing but the next one."""
    return gzip_of(b"\xb3\x29\x00\xbf\xff\xff" * (_PIECE // 6), size // _PIECE + 1)


def subunit_tags(count: int) -> bytes:
    """Packets that are right, with as many tags as they can hold."""
    many = b"\1t" * 1_000_000
    body = b"\x01x" + (len(many) // 2 | 0x800000).to_bytes(3, "big") + many
    head = b"\xb3\x28\x83"
    packet = head + ((len(body) + len(head) + 3 + 4) | 0x800000).to_bytes(3, "big") + body
    return gzip_of((packet + struct.pack(">L", zlib.crc32(packet))) * 4, count // 4 + 1)


def laughs(depth: int) -> bytes:
    """A report whose one text is entities of entities: 10 to the power of ``depth`` of them."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, depth))
    declared = f'<!DOCTYPE testsuite [<!ENTITY e0 "x">{entities}]>'
    return f"{declared}<testsuite><testcase name='a'>&e{depth - 1};</testcase></testsuite>".encode()
