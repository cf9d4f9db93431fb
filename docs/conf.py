# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration: ``sphinx-build -W -b html docs docs/_build``."""

project = "stackviz-deployer"
author = "The stackviz-deployer developers"
copyright = author
extensions: list[str] = []
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "Sites of OpenStack CI runs, on demand", "fixed_sidebar": True}
