# SPDX-License-Identifier: Apache-2.0
"""File formats; pure functions from files to files that run in worker processes.  No Twisted here."""
