"""Rows with known defects among sound ones: what each rule of `smartx clean` finds, and what not.

    python bench/planted_defects.py                      # among made-up rows
    python bench/planted_defects.py rows.parquet         # among rows of a file, cleaned before

Prints for each rule how many planted rows it finds, how many are dropped for whatever reason, and
how many sound rows are dropped for it.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

VERBS = (
    *("keeps", "finds", "moves", "opens", "turns", "builds"),
    *("holds", "shows", "paints", "repairs", "sells", "counts"),
)
NOUNS = (
    *("garden", "river", "engine", "letter", "window", "market", "bridge", "island", "teacher"),
    *("orchard", "station", "harbour", "mountain", "lantern", "village", "machine", "kitchen"),
    *("theatre", "forest", "library", "captain", "painter", "farmer", "journey", "winter"),
    *("morning", "blanket", "compass", "picture", "hammer", "pigeon", "valley", "concert"),
    *("student", "tunnel"),
)
PLACES = ("under", "behind", "beside", "above", "across", "near", "against", "inside", "beyond")
KINDS = (
    *("quiet", "yellow", "narrow", "famous", "broken", "ancient"),
    *("gentle", "heavy", "curious", "distant", "plain", "warm"),
)
HARD = {  # rows that look odd and are none of cleaning's business
    "Is water wet?": "yes",
    "What is 17 + 25?": "42",
    "Answer with the letter of the right choice. (A) red (B) blue": "B",
    "Write a function that adds two numbers in C.": "int add(int a, int b) {\n    return a + b;\n}",
    "Name five fruits as a list.": "- apple\n- pear\n- plum\n- fig\n- cherry",
    "Give the tags of: Anna lives in Rome .": "B-PER O O B-LOC O",
    "What is a cookie policy?": "A cookie policy says which cookies a site stores, and why.",
    "What does lorem ipsum stand for?": "Lorem ipsum is a text that fills a layout.",
    "Translate to French: the summer was long.": "L’été était long.",
    "用一句话介绍北京。": "北京是中国的首都，也是一座历史悠久的城市。",
    "Return the answer as JSON.": '{"answer": [1, 2, 3], "sure": true}',
    "Which emoji says that I am happy?": "😀",
    "Repeat after me: hello": "hello",
    "Is 17 prime? Think step by step.": "17 has no divisor among 2, 3 and 4... so it is prime.",
    "Close the brackets: ( [ {": "} ] )",
    "Tag every word.": " ".join(random.Random(7).choices(("O", "O", "B-PER", "B-LOC"), k=80)),
    "Go on until it trails off.": f"{' and then it rained again, '.join(NOUNS)}...",
    "Write pairs that differ in one word.": "".join(
        f"The {noun} was too large for the {other} because it was {size}.\n"
        for noun, other in zip(NOUNS[:6], NOUNS[6:12], strict=True)
        for size in ("large", "small")
    ),
}
WORDS = ("It’s", "naïve", "£5", "“so", "Zürich", "garçon", "10 °C", "— so")  # read as cp1252
Row = dict[str, str]


def sentence(draw: random.Random) -> str:
    """One made-up sentence of about a dozen words."""
    one, two, three = draw.sample(NOUNS, 3)
    return (
        f"The {draw.choice(KINDS)} {one} {draw.choice(VERBS)} the {two} {draw.choice(PLACES)} "
        f"a {draw.choice(KINDS)} {three}."
    )


def sound_rows(draw: random.Random, count: int) -> list[Row]:
    """Made-up rows with nothing wrong: short answers, long ones, pairs that differ in a word."""
    rows = [{"prompt": prompt, "response": answer} for prompt, answer in HARD.items()]
    while len(rows) < count:
        story = " ".join(sentence(draw) for _ in range(draw.randint(1, 6)))
        kind = draw.randrange(4)
        if kind == 0:
            about = draw.choice(NOUNS)
            for word in draw.sample(KINDS, 2):  # a minimal pair with one answer
                ask = f"{story} Is the {about} of this story {word}? Say yes or no."
                rows.append({"prompt": ask, "response": "no"})
        elif kind == 1:
            rows.append({"prompt": f"Count the words: {story}", "response": str(story.count(" "))})
        elif kind == 2:
            rows.append({"prompt": f"Go on with this story: {story}", "response": _long(draw)})
        else:
            code = "".join(f"for x in {n}s:\n    print(x)\n" for n in draw.sample(NOUNS, 12))
            rows.append({"prompt": f"Print all of {story}", "response": code})
    return rows[:count]


def _long(draw: random.Random, sentences: int = 8) -> str:
    return " ".join(sentence(draw) for _ in range(sentences))


def _broken(text: str, encoding: str) -> str:
    """A text that was written as UTF-8 and read in another encoding."""
    return text.encode().decode(encoding)


def _lines(draw: random.Random, *, repeated: int, ending: str = "", gap: str = "\n") -> str:
    own = [_long(draw, 1) + ending for _ in range(3)]
    return gap.join([*own, *[own[0]] * repeated])


def _changed(draw: random.Random, text: str, every: int) -> str:
    """A text with another word in place of one in so many."""
    words = text.split()
    for place in range(draw.randrange(every), len(words), every):
        words[place] = draw.choice(KINDS)
    return " ".join(words)


def _in_lines(text: str, words: int, ending: str) -> str:
    found = text.split()
    pieces = [" ".join(found[i : i + words]) for i in range(0, len(found), words)]
    return "\n".join(piece + ending for piece in pieces)


Plant = Callable[[random.Random, Row], Row]
PLANTS: dict[str, Plant] = {  # by rule: a row with its defect, made from a sound one
    "encoding: replacement": lambda d, r: {**r, "response": r["response"] + " caf\ufffd"},
    "encoding: control": lambda d, r: {**r, "prompt": f"don\x92t {r['prompt']}"},
    "encoding: mojibake": lambda d, r: {
        **r, "response": f"{r['response']} {_broken(d.choice(WORDS), 'cp1252')}"
    },
    "length: long word": lambda d, r: {
        **r, "prompt": r["prompt"] + " " + base64.b64encode(d.randbytes(900)).decode()
    },
    "quality: word length": lambda d, r: {
        **r, "response": " ".join(d.randbytes(9).hex() for _ in range(60))
    },
    "quality: hashes": lambda d, r: {**r, "response": _in_lines(_long(d), 5, " #")},
    "quality: ellipses": lambda d, r: {**r, "response": "... ".join(_long(d).split(" the "))},
    "quality: ellipsis lines": lambda d, r: {**r, "response": _in_lines(_long(d), 14, "...")},
    "repetition: line characters": lambda d, r: {**r, "response": _lines(d, repeated=8)},
    "repetition: paragraph characters": lambda d, r: {
        **r, "response": _lines(d, repeated=8, gap="\n\n")
    },
    "repetition: repeated n-grams": lambda d, r: {
        **r, "response": " ".join([r["response"][:60], *[sentence(d)] * 14])
    },
    "phrase": lambda d, r: {
        **r,
        "response": d.choice(
            [
                "As an AI language model, I cannot do that.",
                f"{sentence(d)} This site uses cookies.",
                "Lorem ipsum dolor sit amet.",
            ]
        ),
    },
    "echo": lambda d, r: (lambda text: {"prompt": text, "response": f" {text}\n"})(_long(d, 2)),
    "copy: exact": lambda d, r: {
        "prompt": r["prompt"].replace(" ", "  ", 1) + "\n", "response": r["response"]
    },
    "copy: same words": lambda d, r: {
        "prompt": r["prompt"].upper() + "!", "response": r["response"]
    },
    "copy: near": lambda d, r: {**r, "response": _changed(d, r["response"], 40)},
}  # fmt: skip


def planted(
    rows: Sequence[Row], draw: random.Random, each: int
) -> tuple[list[Row], dict[int, str]]:
    """(sound rows, and behind them `each` with each defect; the rule by place of the latter).

    A defect is planted in a sound row that is drawn, so that its other half is as rows are.
    """
    long = [
        row for row in rows if len(row["response"].split()) >= 60 and "\n" not in row["response"]
    ]
    spoken = [row for row in rows if len(row["prompt"].split()) >= 6 and row["prompt"].isascii()]
    made, places = [*rows], {}
    for rule, plant in PLANTS.items():
        base = long if rule == "copy: near" else spoken
        for row in draw.sample(base, min(each, len(base))):
            places[len(made)] = rule
            made.append(plant(draw, row))
    return made, places


def found(rows: Sequence[Row], work: Path, *, rules: object = None) -> dict[int, list[str]]:
    """The rules that each dropped row fails, by its place; the first is the reason."""
    from smartx.clean import Asked, clean_rows, rules_of
    from smartx.corpus import ingest

    path = work / "planted.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = ingest([path], work / "corpus")
    table = clean_rows(corpus, Asked(rules_of(rules)), work).table
    return {row["source_position"]: [row["reason"], *row["rules"]] for row in table.to_pylist()}


def measured(
    rows: Sequence[Row], work: Path, *, seed: int, each: int
) -> list[tuple[str, int, int, int, int]]:
    """(rule, planted, found by it, dropped for any reason, sound rows dropped for it) of each."""
    made, places = planted(rows, random.Random(seed), each)
    dropped = found(made, work)
    table = []
    for rule in PLANTS:
        own = [place for place, planted_rule in places.items() if planted_rule == rule]
        by = sum(rule in dropped.get(place, ()) for place in own)
        gone = sum(place in dropped for place in own)
        wrong = sum(dropped[p][0] == rule for p in dropped if p not in places)
        table.append((rule, len(own), by, gone, wrong))
    return table


def rows_of(path: Path, work: Path, count: int) -> list[Row]:
    """Rows of a file that cleaning keeps, `count` of them drawn."""
    import numpy as np

    from smartx.corpus import ingest

    corpus = ingest([path], work / "base")
    some = min(2 * count, corpus.num_rows)
    drawn = np.array(sorted(random.Random(0).sample(range(corpus.num_rows), some)))
    table = corpus.rows(drawn).select(["prompt", "response"]).to_pylist()
    first = work / "first"
    first.mkdir()
    gone = found(table, first)
    return [row for place, row in enumerate(table) if place not in gone][:count]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", nargs="?", type=Path, help="rows in which defects are planted")
    parser.add_argument("--rows", type=int, default=5_000, help="sound rows")
    parser.add_argument("--each", type=int, default=100, help="planted rows of each defect")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        rows = (
            sound_rows(random.Random(1), asked.rows)
            if asked.base is None
            else rows_of(asked.base, work, asked.rows)
        )
        print(f"{len(rows):,} sound rows")
        print(f"{'rule':<34}{'planted':>8}{'found':>8}{'dropped':>9}{'sound rows':>12}")
        for rule, *counts in measured(rows, work, seed=2, each=asked.each):
            widths = zip(counts, (8, 8, 9, 12), strict=True)
            print(f"{rule:<34}" + "".join(f"{count:>{width},}" for count, width in widths))


if __name__ == "__main__":
    main()
