"""Settings of the book.

python -m sphinx -W docs docs/_build/html
"""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]
import book  # noqa: E402

book.write_pages()

project = "Learn RNNs in PyTorch"
copyright = "the authors; code under the MIT licence, figures under CC BY 4.0"
extensions = ["myst_nb", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "runs", "live", "chapters/notebooks", "chapters/parts"]

nb_execution_mode = "off"  # the runs are recorded; nothing is trained here
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # a section of README starts with a heading of level 3
smartquotes = False  # "--epochs" is a flag, and no dash
highlight_language = "text"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
maximum_signature_line_length = 80

html_theme = "furo"
html_title = project
pygments_dark_style = "one-dark"
html_static_path = ["static"]
html_css_files = ["book.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_domain_indices = False
html_use_index = False
html_show_search_summary = False  # a page of a USB stick may not fetch the others


def setup(app) -> None:
    app.connect("source-read", book.front_door)
    app.connect("doctree-read", book.link_terms)
    app.connect("doctree-resolved", book.show_definitions)
    app.connect("autodoc-process-docstring", book.as_rest)
    app.connect("autodoc-skip-member", book.skip_fields)
    app.connect("build-finished", book.copy_live_pages)
