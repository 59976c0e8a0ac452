"""How Sphinx makes a site of docs/: `make docs` writes it to build/site, with no network.

The pages are plain Markdown, which the repository's page shows as well. What only the site has is
in this folder: the navigation is read from the lists of docs/index.md (navigation.py), the commands
from the application itself (commands.py), the Python reference from docstrings (docstrings.py).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import smartx

project = "smartx"
version = release = smartx.__version__
author = copyright = "the smartx authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "navigation", "commands", "docstrings"]
root_doc = "index"
exclude_patterns = ["site/static"]

smartquotes = False  # --rows is no dash
myst_heading_anchors = 6  # named as the repository's page names them
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"smartx {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
html_show_sphinx = False
html_domain_indices = False
pygments_style, pygments_dark_style = "friendly", "native"
