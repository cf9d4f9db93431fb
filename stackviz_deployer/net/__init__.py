# SPDX-License-Identifier: Apache-2.0
"""Which addresses may be reached, and fetching from them."""
