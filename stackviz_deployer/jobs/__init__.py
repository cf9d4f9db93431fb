# SPDX-License-Identifier: Apache-2.0
"""The queue of scrapes and the way of one scrape."""
