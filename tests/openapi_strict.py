# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document, read as strictly as it can be: what it does not name is wrong."""

from __future__ import annotations

import copy
import re
from typing import Any

_HIDDEN = "#/components/responses/General"


def strict(document: dict[str, Any]) -> dict[str, Any]:
    """As ``document``, but nothing is documented by the way.

    Clients are told that any call may have one of the general answers, and that members may come; a test
    that took both at their word would pass whatever the daemon answered.  So the ``default`` response becomes
    those statuses that its description names (but 500), and the objects of answers have no further members.
    """
    made = copy.deepcopy(document)
    general = made["components"]["responses"]["General"]
    statuses = set(re.findall(r"\b[45]\d\d\b", general["description"])) - {"500"}
    for item in made["paths"].values():
        for operation in (value for name, value in item.items() if name != "parameters"):
            responses = operation["responses"]
            if responses.pop("default") != {"$ref": _HIDDEN}:
                raise ValueError(f"{operation['operationId']} has another default")
            for status in statuses:
                responses.setdefault(status, {"$ref": _HIDDEN})
            _close_responses(responses)
    _close_responses(made["components"]["responses"])
    for schema in made["components"]["schemas"].values():
        _close_members(schema)
    return made


def _close_responses(responses: dict[str, Any]) -> None:
    for response in responses.values():
        for kind, content in response.get("content", {}).items():
            if "schema" in content:
                content["schema"] = _closed(content["schema"])
                if kind == "application/x-ndjson":
                    content["schema"] = {"type": "array", "minItems": 1, "items": content["schema"]}


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """At a place where a value stands; not inside an allOf, whose parts know nothing of each other."""
    _close_members(schema)
    if schema.keys() & {"properties", "allOf", "oneOf"} and "additionalProperties" not in schema:
        return {**schema, "unevaluatedProperties": False}
    if "$ref" in schema:
        return {"allOf": [schema], "unevaluatedProperties": False}
    return schema


def _close_members(schema: dict[str, Any]) -> None:
    for name, member in schema.get("properties", {}).items():
        schema["properties"][name] = _closed(member)
    for name in schema.keys() & {"items", "contentSchema"}:
        schema[name] = _closed(schema[name])
    for part in (*schema.get("allOf", ()), *schema.get("oneOf", ())):
        _close_members(part)
