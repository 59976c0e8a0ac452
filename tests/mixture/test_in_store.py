"""A mixture in an object store: the bytes of one on a disk, whole or none, and no object of anybody
else touched.
"""

from __future__ import annotations

import json
import os
import uuid

import pytest

import smartx
from conftest import tree_digest
from smartx import pipeline
from smartx.config import config_from
from smartx.errors import ConfigError, InputError, StoreError
from smartx.files import MARK, TEMPORARY
from smartx.mixture import in_store
from smartx.progress import Silent

fsspec = pytest.importorskip("fsspec")


class Killed(BaseException):
    """As a kill: nothing is put right."""


class Bucket:
    def __init__(self, small, folder):
        self.system = fsspec.filesystem("memory")
        self.name, self.small, self.folder = f"bucket-{uuid.uuid4().hex}", small, folder
        self.system.mkdir(f"/{self.name}")

    def config(self, **fields):
        values = {"sources": [str(self.small.file)], "vectors": self.small.vectors, "rows": 120}
        values |= {"out": self.url(), "run_dir": self.folder / "work", "threads": 1}
        return config_from({**values, **fields})

    def url(self, name="mix"):
        return f"memory://{self.name}/{name}"

    def objects(self, name="mix"):
        key = f"/{self.name}/{name}/"
        return {path[len(key) :]: self.system.cat_file(path) for path in self.system.find(key)}

    def put(self, name, content=b"x"):
        self.system.pipe_file(f"/{self.name}/{name}", content)

    def local(self, **fields):
        """Files of the same mixture on a disk."""
        out = self.folder / f"disk-{uuid.uuid4().hex[:6]}"
        smartx.run(self.config(out=out, **fields))
        return {
            path.relative_to(out).as_posix(): path.read_bytes()
            for path in out.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def bucket(small_corpus, tmp_path):
    made = Bucket(small_corpus, tmp_path)
    yield made
    made.system.rm(f"/{made.name}", recursive=True)


def test_the_same_bytes_as_on_a_disk_and_nothing_left_on_the_disk(bucket):
    expected = bucket.local()
    before = set((bucket.folder / "work").iterdir())
    mixture = smartx.run(bucket.config())
    assert bucket.objects() == expected
    assert set((bucket.folder / "work").iterdir()) == before
    assert str(mixture.folder) == bucket.url()
    assert len(mixture.to_arrow()) == len(mixture) == 120
    again = smartx.open_mixture(bucket.url())
    assert again.manifest == mixture.manifest
    assert again.to_arrow(["prompt"]).equals(mixture.to_arrow(["prompt"]))


def test_a_mixture_that_stands_is_used_and_another_needs_overwrite(bucket, monkeypatch):
    smartx.run(bucket.config())
    first = bucket.objects()
    sent, real = [], in_store._Folder.put
    monkeypatch.setattr(
        in_store._Folder, "put", lambda self, p, name: (sent.append(name), real(self, p, name))[1]
    )
    smartx.run(bucket.config())
    assert sent == []
    with pytest.raises(InputError, match="another mixture stands there") as caught:
        smartx.run(bucket.config(rows=60))
    assert caught.value.place == bucket.url()
    assert bucket.objects() == first
    smartx.run(bucket.config(rows=60, overwrite=True))
    assert bucket.objects() == bucket.local(rows=60)


def test_a_damaged_object_is_noticed_and_the_mixture_sent_again(bucket):
    smartx.run(bucket.config())
    expected = bucket.objects()
    (data,) = (name for name in expected if name.endswith(".parquet"))
    bucket.put(f"mix/{data}", expected[data][:-1] + b"?")
    smartx.run(bucket.config())
    assert bucket.objects() == expected


@pytest.mark.parametrize("stands", [False, True], ids=["nothing stands", "a mixture stands"])
def test_killed_at_any_object_there_is_no_mixture_and_the_same_command_makes_it(
    bucket, monkeypatch, stands
):
    """A mixture that stood is whole until its manifest goes, which is before anything else does."""
    expected = bucket.local()
    fields = {"overwrite": True}
    calls = ("put_file", "pipe_file", "rm_file")
    real = {name: getattr(bucket.system.__class__, name) for name in calls}
    visit = 0
    while True:
        visit += 1
        if stands:
            smartx.run(bucket.config(rows=60, **fields))
            there = bucket.objects()
        seen = 0

        def counted(function, fatal=visit + 2):  # behind the two that see if it can be written
            def call(*arguments, **options):
                nonlocal seen
                seen += 1
                if seen == fatal:
                    raise Killed
                return function(*arguments, **options)

            return call

        for name in calls:
            monkeypatch.setattr(bucket.system.__class__, name, counted(real[name]))
        try:
            smartx.run(bucket.config(**fields))
        except Killed:
            whole = False
        else:
            whole = True
        for name in calls:
            monkeypatch.setattr(bucket.system.__class__, name, real[name])
        left = bucket.objects()
        if whole:
            assert left == expected
            break
        if "manifest.json" in left:
            made = expected if left["manifest.json"] == expected["manifest.json"] else there
            assert {name: left[name] for name in made} == made
        smartx.run(bucket.config(**fields))
        assert bucket.objects() == expected, visit
        bucket.system.rm(f"/{bucket.name}/mix", recursive=True)
    assert visit > 6


def test_objects_of_somebody_else_stay(bucket):
    bucket.put("mix/notes.txt")
    with pytest.raises(InputError, match="are not of a mixture of smartx") as caught:
        smartx.run(bucket.config())
    assert "notes.txt" in str(caught.value)
    assert bucket.objects() == {"notes.txt": b"x"}
    assert not (bucket.folder / "work" / "corpus").exists()  # before any work
    bucket.system.rm(f"/{bucket.name}/mix", recursive=True)
    smartx.run(bucket.config())
    bucket.put("mix/data/mine.parquet")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="are not part of it"):
            smartx.run(bucket.config(rows=60, overwrite=overwrite))
    assert bucket.objects()["data/mine.parquet"] == b"x"
    bucket.put("other/manifest.json", b'{"version": 1}')
    with pytest.raises(InputError, match="are not of a mixture"):
        smartx.run(bucket.config(out=bucket.url("other")))
    mark = {"smartx": in_store._MAKING, "files": ["README.md"]}
    bucket.put(f"half/{MARK}", json.dumps(mark).encode())
    bucket.put("half/mine.txt")
    with pytest.raises(InputError, match=r"mine\.txt"):
        smartx.run(bucket.config(out=bucket.url("half")))


def test_what_cannot_be_is_said_before_any_work(bucket, monkeypatch):
    with pytest.raises(ConfigError, match="on a disk") as caught:
        smartx.run(bucket.config(run_dir=None))
    assert caught.value.place == "run_dir"
    with pytest.raises(ConfigError, match="cannot be in an object store"):
        bucket.config(run_dir="memory://x/work")
    with pytest.raises(InputError, match="a web server cannot be written"):
        smartx.run(bucket.config(out="https://host/mix"))
    with pytest.raises(InputError, match="no folder is named"):
        smartx.run(bucket.config(out="memory://"))
    bucket.put("mix/data/a.jsonl", b'{"prompt": "p", "response": "r"}\n')
    with pytest.raises(ConfigError, match="would replace"):
        smartx.run(bucket.config(sources=[f"own={bucket.url('mix/data')}"]))
    bucket.system.rm(f"/{bucket.name}/mix", recursive=True)

    def refuse(*arguments, **options):
        raise PermissionError(13, "Forbidden: see https://host/?X-Sig=topsecret")

    monkeypatch.setattr(bucket.system.__class__, "pipe_file", refuse)
    with pytest.raises(StoreError, match="Forbidden") as told:
        smartx.run(bucket.config())
    assert bucket.url() in told.value.place
    assert "topsecret" not in str(told.value)
    assert not (bucket.folder / "work" / "corpus").exists()


def test_an_object_that_did_not_arrive_whole_is_an_error(bucket, monkeypatch):
    real = bucket.system.__class__.put_file

    def half(self, local, key, **options):
        real(self, local, key, **options)
        self.pipe_file(key, b"x")

    monkeypatch.setattr(bucket.system.__class__, "put_file", half)
    with pytest.raises(StoreError, match="bytes arrived"):
        smartx.run(bucket.config())
    assert "manifest.json" not in bucket.objects()
    monkeypatch.undo()
    smartx.run(bucket.config())
    assert bucket.objects() == bucket.local()


def test_what_a_killed_run_left_beside_the_staging_folder_goes(bucket, monkeypatch):
    monkeypatch.setattr(in_store, "_sent", lambda *arguments: os._exit(0))
    child = os.fork()
    if not child:
        try:
            smartx.run(bucket.config())
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    left = [path for path in (bucket.folder / "work").iterdir() if TEMPORARY in path.name]
    assert len(left) == 1
    monkeypatch.undo()
    smartx.run(bucket.config())
    assert not any(path.exists() for path in left)


def test_mix_and_plan_know_urls_and_exports_and_swarms_refuse_them(bucket):
    from smartx.exports import export
    from smartx.swarm.make import Wanted, make_swarm

    pipeline.ingest_step(bucket.config(), Silent())
    pipeline.embed_step(bucket.config(), Silent())
    assert [stage.name for stage in smartx.plan(bucket.config()).stages][-1] == "mix"
    mixture = pipeline.mix_step(bucket.config(), Silent())
    assert len(bucket.objects()) == len(mixture.manifest["files"]) + 1
    with pytest.raises(ConfigError, match="a swarm is written to a disk"):
        make_swarm(bucket.config(), Wanted(count=2))
    disk = bucket.folder / "disk"
    smartx.run(bucket.config(out=disk))
    before = tree_digest(bucket.folder)
    with pytest.raises(InputError, match="not written to an object store"):
        export(disk, "jsonl", "memory:/x/out")
    assert tree_digest(bucket.folder) == before


@pytest.mark.slow
@pytest.mark.processes
def test_s3_has_the_bytes_of_a_disk_and_trainers_load_it(bucket, monkeypatch):
    for package in ("s3fs", "moto", "flask"):
        pytest.importorskip(package)
    from fake_s3 import server

    expected = bucket.local()
    with server() as environment:
        for name, value in environment.items():
            monkeypatch.setitem(os.environ, name, value)
        store = fsspec.filesystem("s3", skip_instance_cache=True)
        with pytest.raises(StoreError, match="no such bucket"):
            smartx.run(bucket.config(out="s3://none-such/mix"))
        store.mkdir("bucket")
        mixture = smartx.run(bucket.config(out="s3://bucket/a/mix"))
        found = store.find("bucket")
        assert {p.removeprefix("bucket/a/mix/"): store.cat_file(p) for p in found} == expected
        assert mixture.to_arrow().num_rows == 120
        smartx.run(bucket.config(out="s3://bucket/a/mix", rows=60, overwrite=True))
        assert len(smartx.open_mixture("s3://bucket/a/mix")) == 60
        store.pipe_file("bucket/b/mine.txt", b"x")
        with pytest.raises(InputError, match=r"mine\.txt"):
            smartx.run(bucket.config(out="s3://bucket/b"))
