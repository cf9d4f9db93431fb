# SPDX-License-Identifier: Apache-2.0
"""Which answers go on for a client that says no more: see channel.readConnectionLost."""

from __future__ import annotations


class Ready:
    """A producer of what lies in memory or on the disk: nobody works for it, and it has an end."""
