# SPDX-License-Identifier: Apache-2.0
"""What is kept: rows in SQLite, blobs in files."""
