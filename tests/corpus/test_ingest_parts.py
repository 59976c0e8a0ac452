"""A corpus made in parts has the bytes of one that was read in one go."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from conftest import tree_digest
from many_sources import ROWS, write_sources
from smartx import dividing, pipeline
from smartx.config import config_from
from smartx.corpus import divided, part
from smartx.corpus.arrow_types import JSON, WHOLE, MixedError, unify
from smartx.corpus.extra import MOST, Kinds
from smartx.errors import CorpusError, StoreError
from smartx.executors.job import Job, handshake
from smartx.executors.on_ray import make_there
from smartx.files import temporary_path
from smartx.progress import Silent
from smartx.run_folder import RECORDS
from smartx.session import Session
from smartx.units import share


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(divided, "LEAST", 3_000)


class Ingests:
    def __init__(self, folder, **fields):
        self.folder, self.fields = folder, fields
        self.sources = write_sources(folder / "sources")

    def config(self, name, **fields):
        values = {"sources": [str(self.sources)], "run_dir": self.folder / name, "threads": 1}
        return config_from({**values, **self.fields, **fields})

    def tree(self, name):
        tree = tree_digest(self.folder / name)
        del tree[RECORDS]
        return tree

    def one(self, name="one", **fields):
        pipeline.ingest_step(self.config(name, **fields), Silent())
        return self.tree(name)

    def shard(self, text, name="work", **fields):
        return pipeline.shard_step(self.config(name, **fields), Silent(), "ingest", text)

    def parts(self, name="work"):
        """The parts of a run folder, and the units that there are."""
        found = []

        def look(self, *arguments):
            real(self, *arguments)
            found.append(self)

        real = divided.Parts.__init__
        divided.Parts.__init__ = look
        try:
            self.shard("0/1", name)
        finally:
            divided.Parts.__init__ = real
        return found[-1]


@pytest.fixture
def ingests(tmp_path):
    return Ingests(tmp_path)


KINDS = {
    "as it is": {},
    "no copies": {"duplicates": "drop"},
    "no other columns": {"drop_other_columns": True},
    "one task": {"task": "all", "source": "here"},
    "empty ones kept": {"keep_empty_responses": True},
}


@pytest.mark.parametrize("fields", KINDS.values(), ids=KINDS)
def test_shards_in_any_order_and_the_command_that_finishes_give_the_bytes_of_one(tmp_path, fields):
    ingests = Ingests(tmp_path, **fields)
    expected = ingests.one()
    made = [ingests.shard(f"{shard}/4") for shard in (2, 0, 3, 1)]
    assert sum(shard.made for shard in made) >= 6
    assert sum(shard.there for shard in made) == 0
    assert not list((tmp_path / "work" / "corpus").glob("*/manifest.json"))
    assert ingests.one("work") == expected
    assert ingests.shard("1/4").finished


def test_every_kind_of_row_and_type_is_in_what_was_compared(ingests):
    ingests.one()
    (folder,) = (ingests.folder / "one" / "corpus").iterdir()
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert manifest["rows"]["duplicates"] > 3
    assert set(manifest["rows"]["dropped"]) > {"not JSON", "no response", "wrong number of cells"}
    assert len(list(folder.glob("others-*.parquet"))) >= 7
    assert manifest["extra"]["turns"]["types"]
    assert manifest["conversations"] == ROWS
    assert any("other_layouts" in source for source in manifest["sources"])


def test_files_that_follow_each_other_are_one_unit_up_to_a_number_of_bytes(ingests, monkeypatch):
    expected = ingests.one()
    counts = {}
    for least in (1, 3_000, 10_000):
        monkeypatch.setattr(divided, "LEAST", least)
        monkeypatch.setattr(divided, "MANY", 1 << 30)
        name = f"work{least}"
        counts[least] = ingests.shard("0/1", name).made
        assert ingests.one(name) == expected
    assert counts[1] == 9 > counts[3_000] > counts[10_000] > 1
    monkeypatch.setattr(divided, "MOST_FILES", 2)
    assert ingests.shard("0/1", "twos").made >= 5


def test_units_depend_on_the_files_alone_and_each_is_in_one_shard(ingests):
    parts = ingests.parts()
    units = parts.units()
    assert units == ingests.parts("other").units()
    assert sorted(u.name for n in range(3) for u in share(units, n, 3)) == [u.name for u in units]
    assert all(unit.memory > 0 and unit.seconds > 0 for unit in units)


def test_a_lost_shard_is_read_by_the_command_that_finishes(ingests, monkeypatch):
    expected = ingests.one()
    made = ingests.shard("0/2").made
    assert ingests.shard("0/2").made == 0
    read, real = [], divided.Parts.make
    monkeypatch.setattr(
        divided.Parts, "make", lambda self, u, a: (read.append(u.name), real(self, u, a))[1]
    )
    assert ingests.one("work") == expected
    assert 0 < len(read) == len(ingests.parts("again").units()) - made


def test_damaged_and_half_written_parts_are_read_again(ingests):
    expected = ingests.one()
    for shard in range(2):
        ingests.shard(f"{shard}/2")
    (folder,) = (ingests.folder / "work" / "corpus").iterdir()
    texts = sorted(folder.glob("*.text.arrow"))
    texts[0].write_bytes(texts[0].read_bytes()[:-9])
    sorted(folder.glob("*.records"))[1].unlink()
    sorted(folder.glob("ingest-?????.json"))[2].write_text("{}")
    temporary_path(texts[3]).write_text("half")
    assert ingests.one("work") == expected


def test_what_is_not_ours_among_the_parts_stays(ingests):
    ingests.shard("0/2")
    (folder,) = (ingests.folder / "work" / "corpus").iterdir()
    (folder / "notes.txt").write_text("mine")
    ingests.one("work")
    assert sorted(path.name for path in folder.iterdir()) == [".smartx", "notes.txt"]


def test_a_unit_of_several_files_is_done_when_its_smaller_ones_are(ingests, monkeypatch):
    expected = ingests.one()
    monkeypatch.setattr(divided, "LEAST", 30_000)
    ingests.shard("0/9")
    parts = ingests.parts("other")
    ingests.shard("1/9", "other")
    unit = next(unit for unit in parts.units() if len(parts.split(unit)) > 1)
    for path in parts._part(unit.name).files():
        path.unlink()
    smaller = parts.split(unit)
    assert parts.split(smaller[0]) == []
    for one in smaller:
        assert not parts.done(unit)
        parts.make(one, lambda size: None)
    assert parts.done(unit)
    assert ingests.one("other") == expected


def test_a_file_that_changed_between_two_shards_is_not_mixed_with_what_was_read(ingests):
    ingests.shard("0/2")
    with (ingests.sources / "a.jsonl").open("a") as file:
        file.write(json.dumps({"prompt": "new", "response": "new", "task": "t0"}) + "\n")
    ingests.shard("1/2")
    made, expected = ingests.one("work"), ingests.one("changed")
    assert {name: made[name] for name in expected} == expected
    assert any("ingest-" in name for name in made.keys() - expected.keys())  # of the first shard


def test_a_bad_file_is_the_error_that_one_reading_raises(ingests):
    (ingests.sources / "z.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(CorpusError, match=r"z\.parquet"):
        ingests.shard("0/1")
    (ingests.sources / "z.parquet").unlink()
    rows = json.dumps([{"prompt": "p", "response": "r"}] * 1_100)  # more than are looked at first
    (ingests.sources / "z.json").write_text(rows[:-1] + " 7 8]")
    with pytest.raises(CorpusError, match=r"z\.json") as caught:
        ingests.shard("0/1")
    with pytest.raises(CorpusError) as expected:
        ingests.one()
    assert str(caught.value) == str(expected.value)


def test_no_row_that_can_be_used_is_the_same_error(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text('{"prompt": "", "response": "r"}\n' * 400)
    config = config_from({"sources": [str(tmp_path)], "run_dir": tmp_path / "work"})
    said = []
    for shard in ("", "0/1", ""):
        try:
            if shard:
                assert pipeline.shard_step(config, Silent(), "ingest", shard).made == 2
            else:
                pipeline.ingest_step(config, Silent())
        except CorpusError as problem:
            said.append(str(problem))
    assert said[0] == said[1]
    assert "no row can be used" in said[0]


def test_a_lost_part_is_said(ingests, monkeypatch):
    ingests.shard("0/1")
    monkeypatch.setattr(divided.Parts, "complete", lambda self, progress: None)
    next((ingests.folder / "work" / "corpus").glob("*/ingest-00001.json")).unlink()
    with pytest.raises(StoreError, match="a part of the corpus was lost"):
        ingests.one("work")


@pytest.mark.processes
def test_a_pool_of_processes_makes_the_bytes_of_one(ingests, monkeypatch):
    # Other processes cut as this one does only where nothing is patched: files of 1 MiB.
    for name in ("x", "y"):
        rows = [{"prompt": f"{name}{n}" * 30, "response": "r" * 80, "k": n} for n in range(6_000)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (ingests.sources / f"{name}.jsonl").write_text(text)
    monkeypatch.setattr(divided, "LEAST", 1 << 20)
    assert ingests.one("pool", executor="processes:2") == ingests.one()


def test_a_task_of_a_cluster_reads_a_part_by_what_it_is_told(ingests):
    """All of it but the cluster: a text and a name go there, a word comes back."""
    expected = ingests.one()
    config = ingests.config("work")
    session = Session(config, Silent(), command="ingest")
    with session.alone():
        parts = dividing.divided(session, "ingest")
        job = Job.of(config)
        sources = {"sources": config.sources}
        job = replace(job, config={**job.config, **sources}, stage="ingest", key=parts.key)
        with handshake(config.work_folder, job) as told:
            made = [make_there(told.json(), unit.name)[0] for unit in parts.units()]
            wrong = make_there(replace(told, key="another").json(), parts.units()[0].name)
    assert set(made) == {"made"}
    assert wrong[0] == "failed"
    assert all(parts.done(unit) for unit in parts.units())
    assert ingests.one("work") == expected


@pytest.mark.parametrize("seed", range(40))
def test_columns_seen_again_file_by_file_have_the_types_of_one_reading(tmp_path, seed):
    """Unifying types is not associative: (uint32, int8), float32 is JSON, and so on."""
    dice = random.Random(seed)
    leaves = [pa.uint32(), pa.int8(), pa.float32(), pa.float64(), pa.int64(), pa.string()]
    leaves += [WHOLE, pa.null(), JSON, pa.large_string(), pa.uint64()]
    kinds = [*leaves, *map(pa.list_, leaves[:7]), *(pa.struct([("a", k)]) for k in leaves[:7])]
    events = [(f"n{dice.randrange(4)}", dice.choice(kinds)) for _ in range(24)]
    rows = [{f"n{dice.randrange(4)}": dice.choice([1, 2.5, "x", [1], {"a": 1}])} for _ in range(6)]
    whole, again = Kinds(), Kinds()
    for first in range(0, 24, 8):
        with (tmp_path / "seen").open("w") as file:
            seen = part.SeenKinds("extra", file)
            for kinds_of in (whole, seen):
                for name, kind in events[first : first + 8]:
                    kinds_of.see(name, kind)
                kinds_of.see_all(rows[first // 4 : first // 4 + 2])
        part.see_again(tmp_path / "seen", {"extra": again})
    assert again.facts() == whole.facts()
    assert list(again.by_name) == list(whole.by_name)


def test_what_was_seen_teaches_nothing_more():
    """So that it need not be written down twice."""
    kinds = [pa.uint32(), pa.int8(), pa.float32(), pa.float64(), pa.int64(), WHOLE, pa.uint8()]
    for chosen in itertools.product(kinds, repeat=4):
        once = chosen[0]
        try:
            for kind in chosen[1:]:
                once = unify(once, kind)
        except MixedError:
            continue
        assert all(unify(once, kind) == once for kind in chosen)


def test_more_columns_than_are_kept_are_counted_as_in_one_reading(tmp_path, monkeypatch):
    monkeypatch.setattr(part, "_REMEMBERED", 10)
    names = [[f"c{n}" for n in range(MOST - 5)], [f"d{n}" for n in range(40)] + ["c3", "c4"]]
    whole, again = Kinds(), Kinds()
    for some in names:
        with (tmp_path / "seen").open("w") as file:
            seen = part.SeenKinds("turns", file)
            for kinds_of in (whole, seen):
                for name in some * 2:
                    kinds_of.see(name, pa.int8() if name[0] == "d" else pa.uint32())
                    kinds_of.see(name, pa.float32())
        part.see_again(tmp_path / "seen", {"turns": again})
    assert whole.more
    assert again.facts() == whole.facts()


def test_tokens_counted_in_parts_are_those_of_one_reading(tmp_path):
    pytest.importorskip("tokenizers")
    from embed_tokenizers import model2vec_folder

    folder = model2vec_folder(tmp_path / "model")
    ingests = Ingests(tmp_path, tokenizer=str(folder / "tokenizer.json"))
    expected = ingests.one()
    ingests.shard("0/1")
    assert ingests.one("work") == expected


def test_the_order_of_sources_is_kept(ingests):
    names = sorted(path.name for path in ingests.sources.iterdir())
    order = np.random.default_rng(3).permutation(len(names))
    sources = [str(ingests.sources / names[i]) for i in order]
    ingests.shard("0/1", sources=sources)
    assert ingests.one("work", sources=sources) == ingests.one(sources=sources)
