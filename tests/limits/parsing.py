# SPDX-License-Identifier: Apache-2.0
"""Files as parsers get them, for the tests of their limits."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.model import InputFile, ParseRequest, ParseResult

Parse = Callable[[ParseRequest], ParseResult]


class ParserCase(SynchronousTestCase):
    def parse(
        self, parser: Parse, data: bytes | str, *, called: str = "logs/x", **options: Any
    ) -> ParseResult:
        """What ``parser`` makes of a file."""
        self.out = Path(self.mktemp())
        self.out.mkdir(parents=True)
        path = self.out / "input"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        source = InputFile(path=str(path), name=called)
        return parser(
            ParseRequest(
                parser="x", inputs=(source,), out_dir=str(self.out), max_bytes=1 << 30, options=options
            )
        )

    def made(self, result: ParseResult, kind: str) -> Any:
        """The artifact of that kind, decoded."""
        (one,) = (one for one in result.artifacts if one.artifact_type == kind)
        return json.loads(gzip.decompress(Path(one.path).read_bytes()))
