# SPDX-License-Identifier: Apache-2.0
"""Parsers that make the three artifacts of a test run, as the tests of each call them."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.model import InputFile, ParsedArtifact, ParseRequest, ParseResult


def load(artifact: ParsedArtifact) -> Any:
    return json.loads(gzip.decompress(Path(artifact.path).read_bytes()))


class RunCase(SynchronousTestCase):
    parser: ClassVar[Callable[[ParseRequest], ParseResult]]

    def parse(self, *paths: Path | str, max_bytes: int = 1 << 30, **options: Any) -> ParseResult:
        out = self.mktemp()
        Path(out).mkdir()
        inputs = tuple(InputFile(path=str(path), name=f"logs/{Path(path).name}") for path in paths)
        request = ParseRequest(parser="x", inputs=inputs, out_dir=out, max_bytes=max_bytes, options=options)
        return ParseResult.from_json(json.loads(json.dumps(type(self).parser(request).to_json())))

    def parse_bytes(self, data: bytes, **options: Any) -> ParseResult:
        path = self.mktemp()
        Path(path).write_bytes(data)
        return self.parse(path, **options)
