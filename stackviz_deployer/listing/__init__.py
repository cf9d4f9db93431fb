# SPDX-License-Identifier: Apache-2.0
"""From the URL of a job to the files that it left."""
