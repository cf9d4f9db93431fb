# SPDX-License-Identifier: Apache-2.0
"""Cancel keys: only the creator of a task has one, and the store only its hash."""

from __future__ import annotations

import hashlib
import secrets


def new_key() -> tuple[str, str]:
    """A key, 192 bits of chance, and what the store keeps of it."""
    key = secrets.token_urlsafe(24)
    return key, _hash(key)


def fits(key: str, kept: str) -> bool:
    """Whether ``kept`` was made of ``key``; takes as long for a near miss as for any other."""
    return secrets.compare_digest(_hash(key), kept)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
