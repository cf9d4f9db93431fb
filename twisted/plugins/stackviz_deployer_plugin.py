# SPDX-License-Identifier: Apache-2.0
"""Tells twistd about stackviz-deployer; imported by every twistd, so it imports nothing of ours."""

from twisted.application.service import ServiceMaker

stackviz_deployer = ServiceMaker(
    "stackviz-deployer",
    "stackviz_deployer.tap",
    "Look up OpenStack CI jobs, scrape them and serve a StackViz site for each run",
    "stackviz-deployer",
)
