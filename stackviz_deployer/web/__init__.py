# SPDX-License-Identifier: Apache-2.0
"""HTTP: thin handlers over the rest of the house."""
