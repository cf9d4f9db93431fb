# SPDX-License-Identifier: Apache-2.0
"""From what a person pasted to the jobs that it means."""
