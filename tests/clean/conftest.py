import json

import pytest


@pytest.fixture
def cleaned(tmp_path):
    """Clean rows in memory: gives what went, each (place in the rows, reason), and the rest."""
    for package in ("ftfy", "py3langid", "rensa", "textstat"):
        pytest.importorskip(package, reason="cleaning needs the extra clean")
    from smartx.clean import Asked, clean_rows, rules_of
    from smartx.corpus import ingest

    def clean(rows, rules=None, *, run=None, **more):
        run = tmp_path / "run" if run is None else run
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        corpus = ingest([path], run / "corpus")
        return corpus, clean_rows(corpus, Asked(rules_of(rules)), run, **more)

    return clean


@pytest.fixture
def gone(cleaned):
    """(place of a row, reason) of all that go."""

    def found(rows, rules=None, **more):
        _, made = cleaned(rows, rules, **more)
        return {row["source_position"]: row["reason"] for row in made.table.to_pylist()}

    return found
