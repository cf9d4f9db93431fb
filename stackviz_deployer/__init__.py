# SPDX-License-Identifier: Apache-2.0
"""An on-demand deployment service for StackViz: from a pasted CI link to a site of the run."""

__version__ = "1.0.0.dev0"
