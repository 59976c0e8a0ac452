"""What is wrong with a row: rules with their thresholds, as a YAML file may set them.

Published thresholds are those of filters for web pages. `instructions`, the default, is made of
them for rows of a prompt and an answer, where "yes", a number, a list or code is an answer as good
as any. `published` has them as they are published, asked of the answer. What differs:

- Gopher drops pages of fewer than 50 words, so its other rules never saw shorter ones. Here short
  rows stay, and those rules are asked of answers of at least 50 words.
- Lists, code, labels and other languages are answers: the shares of bullet lines, of repeated lines
  and of words without a letter, short words, and the count of English stop words drop nothing.
- Gopher drops a text of which a tenth repeats an earlier run of ten words. So do pairs of sentences
  that differ in one word, songs and tables. Here it is half of the answer that
  lies under such runs: what a model writes that has lost its way.
- C4 drops pages with a curly bracket or "javascript": that is code here, and not looked for. Lines
  about cookies and terms, and "lorem ipsum", count in an answer whose prompt does not have them.
- MinHash (FineWeb: 5-grams of words, 14 bands of 8, at least 0.75 alike) takes a pair of questions
  that differ in one word for copies, and two questions about one text. Here the answers have to be
  alike as well, of at least 20 words and half of the row, and the words of the prompts, all numbers
  have to be the same, and n-grams of more than 10 rows (a template) never count.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from smartx.config import close_to
from smartx.config_file import read_fields
from smartx.errors import ConfigError

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=1 << 31)]
_COOKIES = (  # C4's
    *("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies"),
    "use cookies",
)
_TOP = {2: 0.2, 3: 0.18, 4: 0.16}
_REPEATED = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
_LOOPS = {10: 0.5}
_ASSISTANTS = (  # of answers that say who answers, in place of one
    *("as an ai language model", "as a large language model", "i'm an ai language model"),
    "i am an ai language model",
)


class _Rules(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Encoding(_Rules):
    """Of prompt and answer: signs that a text was read in another encoding than its own."""

    replacement: bool = True  # U+FFFD, which stands where bytes were lost
    control: bool = True  # C0 and C1 but tab and line ends; C1 is where cp1252 was read as Latin-1
    mojibake: bool = True  # what ftfy finds bad and can repair
    # Keep rows whose only fault is one of the last two, and write them repaired by ftfy (--out).
    repair: bool = False


class Language(_Rules):
    """Of the answer, or of the prompt where the answer is too short to tell."""

    keep: tuple[str, ...] = ()  # ISO 639 codes; none: all
    confidence: Share = 0.65  # FineWeb's; less is not judged
    least_letters: Count = 50  # of a text that is judged


class Length(_Rules):
    """In words, which stand between spaces; where none are written, each character is one."""

    least_words: Count = 0  # of the answer. Gopher: 50
    most_words: Annotated[int, Field(ge=1, le=1 << 31)] = 100_000  # of both. Gopher
    longest_word: Annotated[int, Field(ge=1, le=1 << 31)] | None = 1_000  # characters. C4


class Quality(_Rules):
    """Gopher's rules (Rae et al. 2021, arXiv 2112.11446, A.1.1), of answers of `from_words` words.

    None: told, and nothing is dropped for it.
    """

    from_words: Count = 50
    from_lines: Count = 3  # of an answer whose lines are looked at. Gopher asks for none
    word_length: tuple[float, float] | None = (0, 10)  # mean, in characters. Published: 3, 10
    hashes: Share | None = 0.1  # signs for each word
    ellipses: Share | None = 0.1
    ellipsis_lines: Share | None = 0.3
    bullet_lines: Share | None = None  # published: 0.9
    alphabetic_words: Share | None = None  # least. Published: 0.8
    stop_words: Count | None = None  # least, of eight English ones. Published: 2


class Repetition(_Rules):
    """Gopher's rules (Table A1), of answers of `from_words` words: most that may be repeated.

    lines, paragraphs: of their count; with `_characters` of the text. top_grams: characters under
    the most frequent run of n words.  repeated_grams: under all runs of n words that came before.
    """

    from_words: Count = 50
    lines: Share | None = None  # published: 0.3
    paragraphs: Share | None = None  # published: 0.3
    line_characters: Share | None = 0.5  # published: 0.2
    paragraph_characters: Share | None = 0.5  # published: 0.2
    top_grams: Mapping[Annotated[int, Field(ge=2, le=4)], Share] = {}  # published: _TOP
    repeated_grams: Mapping[Annotated[int, Field(ge=5, le=10)], Share] = _LOOPS


class Phrases(_Rules):
    """What nobody wants to be taught, case aside."""

    anywhere: tuple[str, ...] = ()  # published: also those of `unasked` that are C4's
    unasked: tuple[str, ...] = ("lorem ipsum", *_COOKIES, *_ASSISTANTS)  # and not in the prompt


class Echo(_Rules):
    """Answers that are their prompt again, from so many words on; None: not looked for."""

    from_words: Annotated[int, Field(ge=1, le=1 << 31)] | None = 10


class Copies(_Rules):
    """Rows that an earlier one says already, in any task and source.

    exact: but for white space and the form of characters (NFC).  words: the same answer, and the
    same prompt but for case and the marks that end sentences.
    near: least part of the n-grams of both rows that is common to them (Jaccard); None: not looked
    for.  from_words: of the answers.  answer_share: least part of a row's words that its answer is.
    gram: words of an n-gram.  bands, band_rows: of MinHash.
    common: an n-gram of more rows than this is a template's, and does not count.
    """

    exact: bool = True
    words: bool = True
    near: Annotated[float, Field(gt=0, le=1)] | None = 0.75
    from_words: Annotated[int, Field(ge=1, le=1 << 31)] = 20
    answer_share: Share = 0.5
    gram: Annotated[int, Field(ge=2, le=100)] = 5
    bands: Annotated[int, Field(ge=1, le=256)] = 14
    band_rows: Annotated[int, Field(ge=1, le=64)] = 8
    common: Annotated[int, Field(ge=1, le=255)] = 10


class Perplexity(_Rules):
    """The band of a score that rows must lie in; those without one stay.

    feature: name of a column of the sources, of a file (`feature`), or of what
    `smartx features llm` collected; None: not asked.
    lowest, highest: a number, or N% of the rows that have one.
    """

    feature: str | None = None
    lowest: float | Annotated[str, Field(pattern=r"^\d{1,2}(\.\d{1,6})?%$")] | None = None
    highest: float | Annotated[str, Field(pattern=r"^\d{1,2}(\.\d{1,6})?%$")] | None = None

    @model_validator(mode="after")
    def _a_band_has_a_side_and_a_feature(self) -> Perplexity:
        sides = self.lowest is not None or self.highest is not None
        if sides != (self.feature is not None):
            raise ValueError("it needs `feature`, and `lowest` or `highest`")
        return self


class Rules(_Rules):
    """All of them, by section."""

    encoding: Encoding = Encoding()
    language: Language = Language()
    length: Length = Length()
    quality: Quality = Quality()
    repetition: Repetition = Repetition()
    phrases: Phrases = Phrases()
    echo: Echo = Echo()
    copies: Copies = Copies()
    perplexity: Perplexity = Perplexity()

    def facts(self) -> dict[str, Any]:
        """What a manifest says of them."""
        facts: dict[str, Any] = self.model_dump(mode="json")
        return facts


INSTRUCTIONS = Rules()
PUBLISHED = Rules(
    length=Length(least_words=50),
    quality=Quality(
        from_words=0,
        from_lines=0,
        word_length=(3, 10),
        bullet_lines=0.9,
        alphabetic_words=0.8,
        stop_words=2,
    ),
    repetition=Repetition(
        from_words=0,
        lines=0.3,
        paragraphs=0.3,
        line_characters=0.2,
        paragraph_characters=0.2,
        top_grams=_TOP,
        repeated_grams=_REPEATED,
    ),
    phrases=Phrases(anywhere=("lorem ipsum", *_COOKIES, "javascript", "{"), unasked=()),
    echo=Echo(from_words=None),
    copies=Copies(words=False, answer_share=0),
)
NAMED: Mapping[str, Rules] = {"instructions": INSTRUCTIONS, "published": PUBLISHED}


def rules_of(given: str | Path | Mapping[str, Any] | Rules | None) -> Rules:
    """Rules by name, from a YAML file, or from the sections that one would have.

    A section that is not given, and what is not given of a section, is as in `instructions`; a file
    that says `like: published` begins with those.
    Raises ConfigError with the file, the rule, what is wrong with it and what would be right.
    """
    if isinstance(given, Rules):
        return given
    if given is None or str(given) in NAMED:
        return NAMED[str(given or "instructions")]
    if isinstance(given, Mapping):
        return _checked(dict(given), "rules")
    path = Path(given)
    if not path.is_file():
        raise ConfigError(
            f'"{given}" is neither a file nor one of {", ".join(NAMED)}',
            place="rules",
            fix="write a YAML file of rules (docs/recipes/cleaning.md has all of them)",
        )
    return _checked(read_fields(path), str(path))


def _checked(fields: dict[str, Any], place: str) -> Rules:
    like = fields.pop("like", "instructions")
    if not isinstance(like, str) or like not in NAMED:
        raise ConfigError(
            f"there are no rules {like!r}",
            place=f"{place}: like",
            fix=f"write {' or '.join(NAMED)}",
        )
    base = NAMED[like].model_dump()
    for section, own in fields.items():
        if section in base and isinstance(own, Mapping):
            fields[section] = {**base[section], **own}
    try:
        return Rules.model_validate({**base, **fields})
    except ValidationError as problem:
        raise _error(problem, place) from None


def _error(problem: ValidationError, place: str) -> ConfigError:
    faults = problem.errors()
    unknown = [fault for fault in faults if fault["type"] == "extra_forbidden"]
    first: Any = (unknown or faults)[0]
    names = [
        str(name) for name in first["loc"] if not str(name).startswith(("constrained", "function"))
    ]
    where = f"{place}: {'.'.join(names[:2])}" if names else place
    if first["type"] == "extra_forbidden":
        section = Rules.model_fields.get(names[0])
        kind: Any = Rules if len(names) == 1 or section is None else section.annotation
        known = sorted(kind.model_fields)
        meant = close_to(names[-1], known)
        fix = f'did you mean "{meant}"?' if meant else f"there are: {', '.join(known)}"
        return ConfigError("there is no such rule", place=where, fix=fix)
    given = repr(first["input"])
    fault = f"{first['msg'].removeprefix('Value error, ').lower()} (given: {given[:60]})"
    return ConfigError(fault, place=where, fix="null switches a rule off")
