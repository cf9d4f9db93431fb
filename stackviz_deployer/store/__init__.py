# SPDX-License-Identifier: Apache-2.0
"""What is kept: rows in SQLite or in MySQL, blobs in files or in an object store."""
