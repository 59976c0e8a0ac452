"""What tests see of a page: its elements, its text, and what its own script gets."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

VOID = {"meta", "br", "line", "polyline", "input"}


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text, self.addresses = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        links = [v for k, v in attributes if k in ("src", "href", "action", "data")]
        self.addresses += [link for link in links if not link.startswith("#")]
        assert not [k for k, _ in attributes if k.startswith("on") or k == "style"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text.append(data)


def script_of(text):
    """What the page's own script gets to see."""
    return json.loads(
        re.search(r'<script id="told" type="application/json">(.*?)</script>', text)[1]
    )
