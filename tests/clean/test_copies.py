"""Copies against a comparison of all pairs."""

import random
import re
from collections import Counter

import pytest
from planted_defects import sentence

GRAM, NEAR, LEAST = 5, 0.75, 20


def words_of(text):
    return [w for w in re.split(r"[^\w]+", text.lower()) if w]


def grams(words):
    return {tuple(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1)}


def jaccard(one, other):
    return len(one & other) / len(one | other) if one | other else 0.0


def near_by_all_pairs(rows, common=10):
    """Rows that the definition joins, each with the first that it is joined to."""
    whole = [words_of(row["prompt"]) + words_of(row["response"]) for row in rows]
    answers = [words_of(row["response"]) for row in rows]
    asked = [set(words_of(row["prompt"])) for row in rows]
    long = [
        len(row["response"].split()) >= LEAST
        and 2 * len(row["response"].split()) >= len(f"{row['prompt']} {row['response']}".split())
        for row in rows
    ]
    counts = Counter(
        gram for own, one in zip(whole, long, strict=True) if one for gram in grams(own)
    )
    own = [{gram for gram in grams(words) if counts[gram] <= common} for words in whole]
    numbers = [Counter(re.findall(r"\d+", f"{r['prompt']}\n{r['response']}")) for r in rows]
    root = list(range(len(rows)))

    def first(row):
        while root[row] != row:
            row = root[row]
        return row

    for b in range(len(rows)):
        for a in range(b):
            if (
                long[a] and long[b] and numbers[a] == numbers[b]
                and jaccard(grams(answers[a]), grams(answers[b])) >= NEAR
                and jaccard(own[a], own[b]) >= NEAR
                and jaccard(asked[a], asked[b]) >= NEAR
            ):  # fmt: skip
                low, high = sorted((first(a), first(b)))
                root[high] = low
    return {row: first(row) for row in range(len(rows)) if first(row) != row}


def stories(draw, count):
    rows = []
    for number in range(count):
        story = " ".join(sentence(draw) for _ in range(8))
        rows.append({"prompt": f"Story of {draw.choice('abc')}.", "response": story})
        words = story.split()
        for changed in draw.choices((1, 2, 4, 9, 20), k=2):  # the more, the less alike
            again = [*words]
            for place in draw.sample(range(len(words)), changed):
                again[place] = draw.choice(["purple", "seldom", "anvil", "thrice", "ember"])
            rows.append({"prompt": rows[-1]["prompt"], "response": " ".join(again)})
        if number % 4 == 0:  # another question with the same answer
            rows.append({"prompt": "Tell me of an anvil.", "response": story})
        if number % 5 == 0:  # the same but for a number
            rows.append({"prompt": f"Story {number}.", "response": story})
    return rows


def test_near_copies_are_those_of_the_definition_but_for_few_that_minhash_misses(gone):
    rows = stories(random.Random(5), 60)
    wanted = near_by_all_pairs(rows)
    rules = {"copies": {"exact": False, "words": False}}
    found = {row for row, reason in gone(rows, rules).items() if reason == "copy: near"}
    assert found <= set(wanted)  # never one that is none
    assert len(found) >= 0.9 * len(wanted) > 20


def test_ngrams_of_a_template_do_not_count(gone):
    draw = random.Random(3)
    template = " ".join(sentence(draw) for _ in range(12))
    rows = [
        {"prompt": "Say it.", "response": f"{template} {draw.choice(['red', 'blue'])} {n}{n} end"}
        for n in "abcdefghijklmnopqrstuvwxyz"
    ]
    assert gone(rows) == {}


def test_copies_go_from_every_group_and_the_first_of_the_sources_stays(cleaned):
    rows = [
        {"prompt": "zeta?", "response": "No", "task": "z"},
        {"prompt": "alpha?", "response": "Yes", "task": "a"},
        {"prompt": "zeta?\n", "response": " No", "task": "a"},  # white space
        {"prompt": "Zeta!", "response": "No", "task": "b"},  # the end of a sentence, and case
        {"prompt": "zeta?", "response": "no", "task": "z"},  # another answer
        {"prompt": "Delete the point: 'so.'", "response": "so", "task": "z"},
        {"prompt": "Delete the point: 'so'", "response": "so", "task": "z"},
        {"prompt": "3.5?", "response": "No", "task": "z"},
        {"prompt": "35?", "response": "No", "task": "z"},
        {"prompt": "a != b", "response": "No", "task": "z"},
        {"prompt": "a = b", "response": "No", "task": "z"},
    ]
    _, made = cleaned(rows)
    found = {row["source_position"]: row for row in made.table.to_pylist()}
    assert {place: row["reason"] for place, row in found.items()} == {
        2: "copy: exact", 3: "copy: same words",
    }  # fmt: skip
    assert [(found[p]["file"], found[p]["line"]) for p in (2, 3)] == [
        ("rows.jsonl", 3), ("rows.jsonl", 4),
    ]  # fmt: skip
    assert {row["detail"] for row in found.values()} == {"of rows.jsonl:1"}


def test_a_row_that_another_rule_drops_has_no_copies(gone):
    rows = [
        {"prompt": "caf\ufffd?", "response": "yes"},
        {"prompt": "caf\ufffd?", "response": "yes"},
    ]
    assert set(gone(rows).values()) == {"encoding: replacement"}


@pytest.mark.parametrize("kind", ["exact", "words", "near"])
def test_a_kind_of_copies_can_be_switched_off(gone, kind):
    draw = random.Random(1)
    story = " ".join(sentence(draw) for _ in range(8))
    rows = [{"prompt": "Tell!", "response": story}, {"prompt": "Tell!", "response": story}]
    off = {"exact": False, "words": False, "near": None}
    assert gone(rows, {"copies": off}) == {}
    usual = {"exact": True, "words": True, "near": 0.75}
    told = {"exact": "copy: exact", "words": "copy: same words", "near": "copy: near"}
    assert gone(rows, {"copies": {**off, kind: usual[kind]}}) == {1: told[kind]}
