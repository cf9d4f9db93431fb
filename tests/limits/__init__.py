# SPDX-License-Identifier: Apache-2.0
"""Limits of docs/limits.rst on both sides: just within all is well, just beyond comes what is said there."""
