# SPDX-License-Identifier: Apache-2.0
"""What is sent to the daemon: archives, forms, and whatever they are compressed with."""

from __future__ import annotations

from typing import Any

from stackviz_deployer.errors import NoArtifactsError
from stackviz_deployer.parsers.decode import Decoder
from tests.fuzz import listings
from tests.fuzz.mutation import repair_archive
from tests.fuzz.oracle import promise
from tests.fuzz.target import DECODED, FILE_ERRORS, Target, file_target, scratch

BOUNDARY = "--fuzz"


def _unpacked(data: Any) -> None:
    for one in data["files"]:
        promise(one["file"].isdigit() and one["file"].isascii(), f"{one!r}")
        promise(not one["path"].startswith("/"), f"{one!r}")
        for piece in one["path"].split("/"):
            listings.name(piece)
        promise(one["path"].isprintable() or not any(c < " " for c in one["path"]), f"{one!r}")


def _decode(data: bytes) -> None:
    path = scratch() / "coded"
    path.write_bytes(data)
    decoder = Decoder(str(path), name="file", max_bytes=DECODED)
    size = sum(len(chunk) for chunk in decoder)
    promise(size == decoder.decoded_bytes <= DECODED, f"{size} bytes")


TARGETS = (
    *(
        file_target(
            name,
            "upload",
            "What was sent",
            options={"globs": listings.GLOBS, "entry_bytes": 1 << 20, "name": file, "boundary": boundary},
            seen=_unpacked,
            declared=(*FILE_ERRORS, NoArtifactsError),
            dictionaries=(name,),
            repair=repair_archive,
        )
        for name, file, boundary in (("upload_archive", "logs.tar", None), ("upload_form", None, BOUNDARY))
    ),
    Target(name="decode", run=_decode, dictionaries=("decode",)),
)
