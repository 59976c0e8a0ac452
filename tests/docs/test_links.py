"""Every link between our pages leads to a file and a heading that exist."""

from __future__ import annotations

import pytest

from conftest import REPOSITORY
from page_blocks import pages
from page_links import anchors, broken

OTHERS = [REPOSITORY / name for name in ("CHANGELOG.md", "bench/README.md")]
OTHERS += sorted((REPOSITORY / "docs" / "site").glob("*.md"))
NAMES = [path.relative_to(REPOSITORY).as_posix() for path in (*pages(), *OTHERS)]


@pytest.mark.parametrize("name", NAMES)
def test_every_link_of_the_page_leads_somewhere(name):
    assert broken(REPOSITORY / name, REPOSITORY) == []


def test_links_that_lead_nowhere_are_seen(tmp_path):
    page = tmp_path / "a.md"
    page.write_text(
        "# A `b`, c!\n\n## Two\n\n## Two\n\n"
        "[1](a.md#a-b-c) [2](#two-1) [3](none.md) [4](#three)\n\n"
        "| [5](a.md#none) |\n|---|\n\n![6](b.svg) [7](https://example.org/none) [8](../x)\n"
    )
    assert anchors(page) == {"a-b-c", "two", "two-1"}
    found = [fault.split(":")[2].strip() for fault in broken(page, tmp_path)]
    assert found == ["none.md", "#three", "a.md#none", "b.svg", "../x"]
