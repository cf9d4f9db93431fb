# SPDX-License-Identifier: Apache-2.0
"""What several nodes share through Redis.  Imported only when ``redis`` is configured."""
