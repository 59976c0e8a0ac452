"""Defects that were planted are found, and what only looks like one stays."""

import random

import pytest
from planted_defects import HARD, PLANTS, measured, planted, sound_rows

for package in ("ftfy", "py3langid", "rensa", "textstat"):
    pytest.importorskip(package, reason="cleaning needs the extra clean")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rows = sound_rows(random.Random(1), 400)
    assert {row["prompt"] for row in rows} >= set(HARD)
    return measured(rows, tmp_path_factory.mktemp("planted"), seed=2, each=12)


@pytest.mark.parametrize("rule", PLANTS)
def test_each_rule_finds_its_defect_and_drops_no_sound_row(table, rule):
    _, planted_rows, found, dropped, wrong = next(one for one in table if one[0] == rule)
    assert planted_rows == 12
    least = 10 if rule == "copy: near" else 12  # MinHash sees a pair with some probability
    assert found >= least
    assert dropped >= least
    assert wrong == 0


def test_rows_are_planted_behind_the_sound_ones():
    rows = sound_rows(random.Random(1), 300)
    made, places = planted(rows, random.Random(2), 5)
    assert made[:300] == rows
    assert sorted(places) == list(range(300, len(made)))


def test_languages_that_are_not_kept_go(gone):
    texts = {
        "en": "The committee met in the morning and spoke about the new library for hours.",
        "de": "Der Ausschuss traf sich am Morgen und sprach lange über die neue Bibliothek.",
        "fr": "Le comité s’est réuni le matin et a parlé longtemps de la nouvelle bibliothèque.",
        "ru": "Комитет собрался утром и долго говорил о новой городской библиотеке.",
        "zh": "委员会早上开会，讨论了很长时间关于新图书馆的事情。市长说，图书馆明年春天开放，"
        "孩子们可以免费借书，老人也有安静的房间读报纸和喝茶。",
    }
    rows = [{"prompt": "Go on.", "response": text} for text in texts.values()]
    rows.append({"prompt": "Wie?", "response": "Ja"})  # too short to tell
    wanted = {i: "language" for i, name in enumerate(texts) if name not in ("en", "zh")}
    assert gone(rows, {"language": {"keep": ["en", "zh"]}}) == wanted


def test_a_band_of_scores_is_of_numbers_or_of_parts_of_the_rows(cleaned):
    import numpy as np

    from smartx.needs import InMemory

    rows = [{"prompt": f"question {n}", "response": f"answer {n}"} for n in range(100)]
    values = np.arange(100.0)
    values[7] = np.nan
    score = InMemory(values, digest="score")
    for band, wanted in (
        ({"lowest": 3, "highest": 97.5}, [0, 1, 2, 98, 99]),
        ({"highest": "90%"}, list(range(90, 100))),
    ):
        rules = {"perplexity": {"feature": "ppl", **band}}
        _, made = cleaned(rows, rules, band={"ppl": score}.get)
        assert made.rows.tolist() == wanted  # and row 7, which has no score, stays
        assert set(made.table["reason"].to_pylist()) == {"perplexity"}


def test_short_answers_and_numbers_stay(gone):
    answers = ["yes", "4", "B", "No.", "-1", "∅", "True", "x", "1 2 3", "..."]
    rows = [{"prompt": f"Question {n}?", "response": one} for n, one in enumerate(answers)]
    assert gone(rows) == {}


def test_rules_that_are_off_are_told_and_drop_nothing(cleaned):
    rows = [{"prompt": "Numbers?", "response": " ".join(map(str, range(80)))}]
    rows += [{"prompt": "More?", "response": "fine"}]
    _, made = cleaned(rows)
    told = {one["rule"]: one for one in made.sheet}["quality: alphabetic words"]
    assert (told["drops"], told["before"], told["after"], told["dropped"]) == (False, 1, 1, 0)
    _, made = cleaned(rows, {"quality": {"alphabetic_words": 0.8}})
    told = {one["rule"]: one for one in made.sheet}["quality: alphabetic words"]
    assert (told["drops"], told["before"], told["after"], told["dropped"]) == (True, 1, 0, 1)
