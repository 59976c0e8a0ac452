import pytest

from smartx.clean import INSTRUCTIONS, PUBLISHED, rules_of
from smartx.errors import ConfigError


def test_what_is_not_said_is_as_in_the_rules_that_are_named(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("length: {least_words: 3}\ncopies: {near: null}\n")
    rules = rules_of(path)
    assert rules.length.least_words == 3
    assert rules.length.longest_word == INSTRUCTIONS.length.longest_word
    assert rules.copies.near is None
    assert rules.copies.exact
    path.write_text("like: published\nlength: {least_words: 5}\n")
    assert rules_of(path).quality == PUBLISHED.quality
    assert rules_of(None) is rules_of("instructions") is INSTRUCTIONS


def test_published_thresholds_are_those_of_the_papers():
    """Gopher (arXiv 2112.11446, A.1.1 and Table A1), C4 and FineWeb, as datatrove 0.10 has them."""
    gopher, table = PUBLISHED.quality, PUBLISHED.repetition
    assert (PUBLISHED.length.least_words, PUBLISHED.length.most_words) == (50, 100_000)
    assert gopher.word_length == (3, 10)
    assert (gopher.hashes, gopher.ellipses) == (0.1, 0.1)
    assert (gopher.bullet_lines, gopher.ellipsis_lines) == (0.9, 0.3)
    assert (gopher.alphabetic_words, gopher.stop_words) == (0.8, 2)
    assert (table.lines, table.paragraphs) == (0.3, 0.3)
    assert (table.line_characters, table.paragraph_characters) == (0.2, 0.2)
    assert table.top_grams == {2: 0.2, 3: 0.18, 4: 0.16}
    assert table.repeated_grams == {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.1}
    assert PUBLISHED.length.longest_word == 1_000
    near = PUBLISHED.copies
    assert (near.gram, near.bands, near.band_rows, near.near) == (5, 14, 8, 0.75)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("repetitoin: {lines: 0.3}", "repetitoin", 'did you mean "repetition"?'),
        ("repetition: {line: 0.3}", "repetition.line", 'did you mean "lines"?'),
        ("repetition: {lines: 3}", "repetition.lines", "less than or equal to 1"),
        ("repetition: {top_grams: {9: 0.1}}", "repetition.top_grams", "4"),
        ("quality: {hashes: lots}", "quality.hashes", "number"),
        ("quality: 7", "quality", "valid dictionary"),
        ("perplexity: {feature: ppl}", "perplexity", "`lowest` or `highest`"),
        ("perplexity: {highest: 95%}", "perplexity", "needs `feature`"),
        ("perplexity: {feature: ppl, highest: many}", "perplexity.highest", "given: 'many'"),
        ("like: nobody", "like", "instructions or published"),
        ("- 3", "", "mapping"),
    ],
)
def test_a_fault_names_the_file_the_rule_and_what_would_be_right(tmp_path, text, place, words):
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        rules_of(path)
    assert str(path) in caught.value.place
    assert place in caught.value.place
    assert words in str(caught.value)


def test_a_file_that_is_not_there_is_said_so():
    with pytest.raises(ConfigError, match="neither a file nor one of instructions, published"):
        rules_of("nowhere.yaml")
