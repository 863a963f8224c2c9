"""How Sphinx builds these pages: Markdown by MyST, the API reference from docstrings. ``make docs`` runs it."""

import lagrange_ad

project = "lagrange_ad"
author = "The lagrange_ad authors"
copyright = f"2026, {author}"
version = release = lagrange_ad.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.viewcode"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "show-inheritance": False}
add_module_names = False

html_theme = "furo"
html_title = f"lagrange_ad {release}"
