# SPDX-License-Identifier: Apache-2.0
"""Which files of a job are worth fetching, and what parses them."""
