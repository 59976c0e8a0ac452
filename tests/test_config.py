"""The configuration: what a YAML file means, and who is blamed for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

import smartx
from smartx.config import RunConfig, config_from, size_in_bytes
from smartx.errors import ConfigError


def from_yaml(folder: Path, text: str, **values: object) -> RunConfig:
    file = folder / "mix.yaml"
    file.write_text(text)
    return config_from(values, file=file)


@pytest.mark.parametrize("field", ["out", "run_dir", "vectors", "encoder", "tokenizer"])
def test_a_path_that_begins_with_a_tilde_is_below_home(field, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    config = from_yaml(tmp_path, f"{field}: ~/x/y")
    assert str(getattr(config, field)) == "/home/someone/x/y"
    assert str(getattr(config_from({field: "~/x/y"}), field)) == "/home/someone/x/y"


def test_sources_begin_at_home_too_with_a_name_or_without(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    config = from_yaml(tmp_path, "sources: [~/a.jsonl, qa=~/b.jsonl]")
    assert config.sources == ["/home/someone/a.jsonl", "qa=/home/someone/b.jsonl"]


def test_relative_paths_of_a_yaml_file_are_seen_from_the_file(tmp_path):
    (tmp_path / "minilm").mkdir()
    config = from_yaml(
        tmp_path,
        "sources: [data/*.jsonl, /abs/b.jsonl, qa=c.jsonl, org/set, hf://datasets/org/set]\n"
        "vectors: v.npy\nout: mix\nrun_dir: ../work\nencoder: minilm\n",
    )
    assert config.sources == [
        f"{tmp_path}/data/*.jsonl", "/abs/b.jsonl", f"qa={tmp_path}/c.jsonl",
        "org/set", "hf://datasets/org/set",
    ]  # fmt: skip
    assert (config.vectors, config.out) == (tmp_path / "v.npy", tmp_path / "mix")
    assert config.run_dir == tmp_path / ".." / "work"
    assert config.encoder == str(tmp_path / "minilm")
    assert from_yaml(tmp_path, "encoder: all-MiniLM-L6-v2").encoder == "all-MiniLM-L6-v2"


def test_paths_of_evaluation_sets_and_single_rows_are_seen_from_the_file_too(tmp_path):
    (tmp_path / "old").mkdir()
    config = from_yaml(
        tmp_path,
        "sources: {qa: a.jsonl}\nleave_out: {mmlu: eval/*.jsonl}\nleave_out_vectors: e.npy\n"
        "trained: [old, org/set]\ninclude_rows: rows.txt\nexclude_rows: bad\n",
    )
    assert config.sources == [f"qa={tmp_path}/a.jsonl"]
    assert config.leave_out == [f"mmlu={tmp_path}/eval/*.jsonl"]
    assert config.leave_out_vectors == [tmp_path / "e.npy"]
    assert config.trained == [f"{tmp_path}/old", "org/set"]
    assert config.include_rows == f"{tmp_path}/rows.txt"
    assert config.exclude_rows == "bad"  # a column


def test_an_unknown_field_is_told_of_before_what_it_may_be_the_reason_of(tmp_path):
    with pytest.raises(ConfigError, match="code: there is no such field") as caught:
        from_yaml(tmp_path, "weights: mine\ncode: mine.py")
    assert "within a strategy" in caught.value.fix


def test_relative_paths_of_flags_stay_as_they_are(tmp_path):
    assert from_yaml(tmp_path, "rows: 5", out="mix", sources=["a"]).out == Path("mix")


@pytest.mark.parametrize(
    "field",
    ["rows", "seed", "weights", "ranker", "near_duplicates", "threads", "memory",
     "batch_size", "max_length", "out", "task"],
)  # fmt: skip
@pytest.mark.parametrize("word", ["yes", "on", "no", "true"])
def test_yes_and_no_are_neither_numbers_nor_words(field, word, tmp_path):
    with pytest.raises(ConfigError, match=f"mix.yaml: {field}: yes and no"):
        from_yaml(tmp_path, f"{field}: {word}")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: &a [1, 1]\nrows: *a", "line 2: aliases"),
        ("a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]", "aliases"),
        ("rows: 5\nout: x\nrows: 6", 'line 3: "rows" stands there twice'),
        ("[" * 100_000, "not YAML"),
        ("rows: " + "9" * 5_000, "not YAML"),
        ("x: " + "y" * (1 << 20), "more than 1 MiB"),
        ("- rows", "mapping"),
        ("on: 5", "mapping"),
        ("rows: !!python/object/apply:os.system [id]", "not YAML"),
    ],
)
def test_a_yaml_file_that_means_no_good_is_refused(text, fault, tmp_path):
    with pytest.raises(ConfigError, match=r"mix\.yaml") as caught:
        from_yaml(tmp_path, text)
    assert fault in str(caught.value)


def test_a_wrong_flag_is_not_blamed_on_the_file(tmp_path):
    with pytest.raises(ConfigError) as caught:
        from_yaml(tmp_path, "rows: 5", rows="abc")
    assert caught.value.place == "rows"
    with pytest.raises(ConfigError) as caught:
        from_yaml(tmp_path, "rows: abc", seed="1")
    assert caught.value.place == f"{tmp_path / 'mix.yaml'}: rows"


@pytest.mark.parametrize(
    ("fields", "fault", "fix"),
    [
        ({"row": 5}, "no such field", 'did you mean "rows"?'),
        ({"near-duplicates": 5}, "no such field", 'did you mean "near_duplicates"?'),
        ({"zzz": 5}, "no such field", "the fields are: "),
        (
            {"preset": "smart"},
            "one of smart-acl2024, smart-balanced, proportional",
            "did you mean smart-acl2024?",
        ),
        ({"ranker": "facility"}, "one of ", "did you mean facility-location?"),
        ({"rows": "1kk"}, "an amount such as 5000, 5k, 1.5m or 10% is needed (given: '1kk')", ""),
        ({"tokens": "1%%"}, "an amount such as 5000", ""),
        ({"rows": 2.5}, "a part of a row or token cannot be taken", ""),
        ({"epochs": 2.5}, "a whole number is needed", "25000"),
        ({"floor": "math"}, '"math" is not of the form PATTERN=AMOUNT, such as math=500', ""),
        ({"cap": {"math": "x"}}, "math: an amount", ""),
        ({"exclude": ["a", " "]}, "name of a source", ""),
        ({"rows": 0}, "at least 1", ""),
        ({"rows": 10**30}, "at most 9,007,199,254,740,992", ""),
        ({"seed": 10**30}, "at most", ""),
        ({"near_duplicates": 2}, "at most 1", ""),
        ({"near_duplicates": "nan"}, "at ", ""),
        ({"near_duplicates": "x"}, "a number is needed", ""),
        ({"overwrite": "perhaps"}, "yes or no is needed", ""),
        ({"task": 5}, "a text is needed", "quotes"),
        ({"memory": "lots"}, "a size such as 8G", ""),
        ({"memory": "9" * 400}, "a size such as 8G", ""),
        ({"memory": "9" * 30 + "T"}, "at most", ""),
        ({"out": ""}, "it is empty", ""),
        ({"out": "a\0b"}, "null character", ""),
    ],
)
def test_an_error_says_in_plain_words_what_is_needed_and_what_was_meant(fields, fault, fix):
    with pytest.raises(ConfigError) as caught:
        config_from(fields)
    assert fault in caught.value.fault
    assert fix in caught.value.fix
    assert "(given: ['math'])" not in caught.value.fault  # a list is how it is kept, not typed
    assert len(str(caught.value)) < 900
    assert "pydantic" not in str(caught.value)


def test_errors_in_python_name_fields_not_flags(tmp_path):
    with pytest.raises(ConfigError) as caught:
        smartx.run({"rows": 0})
    assert str(caught.value).startswith("rows: ")
    with pytest.raises(ConfigError) as caught:
        smartx.run({"sources": ["a"], "out": tmp_path / "mix"})
    assert (
        str(caught.value)
        == "rows: it is needed here and not given\n  fix: give `rows`, or `tokens`"
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [("8G", 8 << 30), ("512M", 512 << 20), ("1.5GiB", 3 << 29), ("7", 7), ("1kb", 1024), (5, 5)],
)
def test_sizes_have_units(text, size):
    assert size_in_bytes(text) == size


PUBLISHED = {"preset": "smart-acl2024"}


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({}, False),
        ({"weights": "power", "ranker": "facility-location:per=task"}, False),
        ({**PUBLISHED, "weights": "taylor-softmax:num_tasks=5", "seed": 7, "rows": 3}, False),
        ({**PUBLISHED, "weights": "taylor-softmax", "ranker": "facility-location"}, False),
        ({**PUBLISHED, "weights": "taylor-softmax:function.penalty=0.4"}, False),
        ({"weights": "equal"}, True),
        ({"ranker": "log-det"}, True),
        ({**PUBLISHED, "weights": "taylor-softmax:function=log-det"}, True),
        ({**PUBLISHED, "weights": "taylor-softmax:function.penalty=0.3"}, True),
        ({"near_duplicates": 0.9}, True),
        ({"ranker": "facility-location:dense_limit=1"}, True),
        ({"preset": "random", "seed": 3, "ranker": "random"}, False),
        ({"preset": "random", "ranker": "random:seed=3"}, True),
        ({"preset": "equal", "ranker": "facility-location"}, True),
    ],
)
def test_a_preset_is_changed_by_whatever_changes_its_rows(fields, changes):
    assert RunConfig(**fields).changes_preset is changes


def test_a_run_folder_has_a_name_even_where_out_has_none():
    assert RunConfig(out=Path("a/mix")).work_folder == Path("a/mix.run")
    assert RunConfig(out=Path()).work_folder == Path.cwd().with_name(Path.cwd().name + ".run")
