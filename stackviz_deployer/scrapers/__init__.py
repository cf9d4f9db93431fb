# SPDX-License-Identifier: Apache-2.0
"""What is looked for in a job, one module per kind of artifact.

A new kind is a module with a ``interfaces.Scraper`` and a place in ``SCRAPERS``.
"""

from stackviz_deployer.scrapers.console import ConsoleScraper
from stackviz_deployer.scrapers.dstat import DstatScraper
from stackviz_deployer.scrapers.job_output import JobOutputScraper
from stackviz_deployer.scrapers.junit import JunitScraper
from stackviz_deployer.scrapers.subunit import SubunitScraper

SCRAPERS = (SubunitScraper(), JunitScraper(), ConsoleScraper(), JobOutputScraper(), DstatScraper())
"""In the order in which their artifacts are shown: StackViz opens with the first group."""
