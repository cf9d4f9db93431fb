# SPDX-License-Identifier: Apache-2.0
"""What tests/test_schemathesis.py hangs into schemathesis, which runs in a process of its own."""

from __future__ import annotations

import json
import os
from itertools import count
from pathlib import Path
from typing import Any

import schemathesis

ANSWERS = "STACKVIZ_TEST_ANSWERS"
"""Environment: the file that gets a line ``<method> <path> <status> <media type>`` for each answer."""
NDJSON = "application/x-ndjson"
_looked_up = count()


@schemathesis.deserializer(NDJSON)
def lines(_context: schemathesis.DeserializationContext, response: schemathesis.Response) -> Any:
    """All lines of an answer that comes in lines; openapi_strict makes its schema one of a list."""
    return [json.loads(line) for line in response.content.decode("utf-8").splitlines()]


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case, _kwargs: dict[str, Any]) -> None:
    """Every other look-up asks for lines: the document tells of that in words."""
    if case.operation.label == "POST /api/list" and next(_looked_up) % 2:
        case.headers["Accept"] = NDJSON


@schemathesis.hook
def after_call(
    _context: schemathesis.HookContext, case: schemathesis.Case, response: schemathesis.Response
) -> None:
    media_type = response.headers.get("content-type", ["-"])[0].partition(";")[0]
    with Path(os.environ[ANSWERS]).open("a", encoding="utf-8") as answers:
        answers.write(f"{case.operation.label} {response.status_code} {media_type}\n")
