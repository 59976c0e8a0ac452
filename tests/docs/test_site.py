"""The site builds without a network and without a warning, asks no other host for anything, and
holds every public name and every option.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer

import smartx
from conftest import REPOSITORY
from smartx.cli import app
from smartx.config import RunConfig
from smartx.display import flag

for package in ("sphinx", "myst_parser", "furo", "sklearn"):
    pytest.importorskip(package)

# Sphinx in a process that cannot reach any host.
BUILD = """
import socket, sys
def refuse(*_): raise OSError("no network here")
socket.socket.connect = socket.getaddrinfo = refuse
from sphinx.cmd.build import main
sys.exit(main(sys.argv[1:]))
"""
LOADS = {
    ("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"),
    ("source", "srcset"), ("img", "srcset"), ("video", "src"), ("audio", "src"), ("embed", "src"),
    ("object", "data"), ("use", "href"), ("image", "href"), ("form", "action"), ("base", "href"),
}  # fmt: skip


class Page(HTMLParser):
    """What a page loads, where it leads, and what in it can be led to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.ids: set[str] = set()
        self.styles: list[str] = []
        self.in_style = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.in_style = tag == "style"
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.ids.add(value)
            elif name == "style":
                self.styles.append(value or "")
            elif (tag, name.removeprefix("xlink:")) in LOADS:
                self.loads.append(value or "")
            elif (tag, name) == ("a", "href"):
                self.leads.append(value or "")

    def handle_data(self, data):
        if self.in_style:
            self.styles.append(data)


def elsewhere(target: str) -> bool:
    return re.match(r"(?!data:)[a-z]+:|//", target.strip()) is not None


def loaded_by(css: str) -> list[str]:
    urls = re.findall(r"""url\(\s*["']?([^"')]+)""", css)
    return urls + re.findall(r"""@import\s+["']([^"']+)""", css)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site")
    folders = ["-c", "docs/site", "-d", out / "doctrees", "docs", out / "html"]
    command = [sys.executable, "-c", BUILD, "-b", "html", "-W", "--keep-going", "-q", *folders]
    done = subprocess.run(
        [*map(str, command)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


@pytest.fixture(scope="module")
def parsed(site) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


@pytest.mark.slow
@pytest.mark.processes
class TestSite:
    def test_every_page_of_docs_is_in_it_and_in_the_navigation(self, site, parsed):
        docs = REPOSITORY / "docs"
        pages = {path.relative_to(docs).with_suffix(".html") for path in docs.rglob("*.md")}
        assert len(pages) >= 15
        leads = {unquote(target.partition("#")[0]) for target in parsed[site / "index.html"].leads}
        for page in pages - {Path("index.html")}:
            assert (site / page).is_file()
            assert page.as_posix() in leads

    def test_no_page_loads_anything_from_another_host(self, site, parsed):
        loads = [(path, target) for path, page in parsed.items() for target in page.loads]
        loads += [
            (path, target)
            for path, page in parsed.items()
            for css in page.styles
            for target in loaded_by(css)
        ]
        sheets = [*site.rglob("*.css"), *site.rglob("*.svg")]
        loads += [(path, to) for path in sheets for to in loaded_by(path.read_text("utf-8"))]
        assert len(loads) > 5 * len(parsed)
        assert [load for load in loads if elsewhere(load[1])] == []

    def test_no_script_names_another_host_to_load_from(self, site):
        for path in site.rglob("*.js"):
            text = path.read_text("utf-8")
            assert not re.search(r"""(?:fetch|import|open|src\s*=)\s*\(?["']https?://""", text), (
                path
            )

    def test_links_lead_to_pages_and_places_that_exist(self, parsed):
        checked = 0
        for path, page in parsed.items():
            for target in (*page.leads, *page.loads):
                name, _, anchor = unquote(target).partition("#")
                if elsewhere(target) or not (name or anchor):
                    continue
                checked += 1
                file = (path.parent / name.partition("?")[0]).resolve() if name else path
                assert file.exists(), f"{path.name}: {target}"
                if anchor and file in parsed:
                    assert anchor in parsed[file].ids, f"{path.name}: {target}"
        assert checked > 500

    def test_every_public_name_is_in_the_python_reference_once(self, parsed, site):
        ids = parsed[site / "site" / "python.html"].ids
        names = [name for name in smartx.__all__ if name != "__version__"]
        missing = [name for name in (*names, "SmartSelector") if f"smartx.{name}" not in ids]
        assert missing == []
        assert "smartx.Mixture.to_pandas" in ids
        text = (REPOSITORY / "docs" / "site" / "python.md").read_text("utf-8")
        for name in names:
            assert len(re.findall(rf":: {name}(?:\(\))?$", text, flags=re.MULTILINE)) == 1, name

    def test_every_option_of_every_command_is_in_the_command_reference(self, parsed, site):
        ids = parsed[site / "site" / "commands.html"].ids
        commands = typer.main.get_command(app).commands
        assert len(commands) >= 15
        for name, command in commands.items():
            assert f"smartx-{name}" in ids
            for parameter in command.params:
                if parameter.param_type_name == "option":
                    option = parameter.opts[0].lstrip("-")
                    assert f"cmdoption-smartx-{name}-{option}" in ids, (name, option)

    def test_every_field_of_a_run_is_in_the_python_reference(self, site):
        text = (site / "site" / "python.html").read_text("utf-8")
        for name in RunConfig.model_fields:
            assert f">{name}<" in text
            assert f">{flag(name)}<" in text


@pytest.fixture(scope="module")
def ours():
    """The site's own modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPOSITORY / "docs" / "site")
        yield {name: importlib.import_module(name) for name in ("docstrings", "navigation")}


def test_docstrings_become_lists_code_and_paragraphs(ours):
    text = """Choose `a` of *n* rows: so.

budget: how many, or
    tokens.  seed: of X_.
x, y: two | things
Returns (n,) int32. It is
new. Raises: nothing.
Raises InputError.

>>> 1 * 2
2"""
    assert "\n".join(ours["docstrings"].as_source(text.splitlines())) == (
        "\nChoose ``a`` of \\*n\\* rows: so.\n\n\n- **budget**: how many, or tokens.\n"
        "- **seed**: of X\\_.\n- **x**, **y**: two \\| things\n"
        "\nReturns (n,) int32. It is new. Raises: nothing.\n\n\nRaises InputError.\n\n\n"
        ">>> 1 * 2\n2\n"
    )


def test_the_navigation_is_the_lists_of_the_first_page(ours):
    text = "# A\n\n- [no](no.md)\n\n## B\n\n- [C d](c.md)\n- [E](e/f.md)\n\n## None\n\nwords\n"
    assert [*ours["navigation"].parts(text)] == [("B", [("C d", "c"), ("E", "e/f")])]


@pytest.mark.parametrize(
    ("target", "other"),
    [("https://a.org/x.js", True), ("//a.org/x", True), ("x.js", False), ("data:a", False)],
)
def test_other_hosts_are_known(target, other):
    assert elsewhere(target) is other
    assert loaded_by(f"a {{ background: url({target}) }}") == [target]
    assert loaded_by(f'@import "{target}";') == [target]
