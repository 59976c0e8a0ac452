"""Sources in object stores: the rows of the same files on a disk, known without a download, and
nothing secret in what is written or said.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import threading
import uuid

import pytest

from many_sources import write_sources
from small import flan_like, mixture_of_all
from smartx import pipeline
from smartx.config import config_from
from smartx.corpus import divided, ingest, ingestion, remote
from smartx.corpus.sources import find_sources
from smartx.errors import CorpusError, InputError, MissingPackageError
from smartx.mixture.mixture import Mixture, compare
from smartx.progress import Silent
from smartx.run_folder import RECORDS
from smartx.urls import is_url, reason, shown, without_secrets

fsspec = pytest.importorskip("fsspec")
LINE = b'{"prompt": "p", "response": "r"}\n'


class Bucket:
    """A folder in memory."""

    def __init__(self):
        self.system = fsspec.filesystem("memory")
        self.name = f"bucket-{uuid.uuid4().hex}"

    def put(self, name, content=LINE):
        self.system.pipe_file(f"/{self.name}/{name}", content)

    def put_folder(self, folder):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            self.put(path.relative_to(folder).as_posix(), path.read_bytes())

    def url(self, name=""):
        return f"memory://{self.name}/{name}".rstrip("/")

    def found(self, *names, note=print):
        return find_sources([self.url(name) for name in names], note)


@pytest.fixture
def bucket():
    made = Bucket()
    yield made
    if made.system.exists(f"/{made.name}"):
        made.system.rm(f"/{made.name}", recursive=True)


def files_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def test_rows_of_a_store_are_those_of_the_same_files_on_a_disk(bucket, tmp_path):
    bucket.put_folder(write_sources(tmp_path / "sources"))
    here = ingest([tmp_path / "sources"], tmp_path / "here")
    there = ingest([bucket.url()], tmp_path / "there")
    assert files_of(there.folder) == files_of(here.folder)
    assert len(files_of(here.folder)) > 8
    own = ("url", "fingerprint", "sha256")
    told = [[{k: v for k, v in s.items() if k not in own} for s in c.manifest["sources"]]
            for c in (here, there)]  # fmt: skip
    assert told[0] == told[1]
    assert there.manifest["sources"][0]["url"] == bucket.url("a.jsonl")
    assert ingest([bucket.url()], tmp_path / "there").digest == there.digest


def test_shards_read_a_store(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(divided, "LEAST", 3_000)
    bucket.put_folder(write_sources(tmp_path / "sources"))
    expected = files_of(ingest([bucket.url()], tmp_path / "one").folder)
    config = config_from({"sources": [bucket.url()], "run_dir": tmp_path / "work"})
    made = [pipeline.shard_step(config, Silent(), "ingest", f"{n}/3").made for n in (2, 0, 1)]
    assert sum(made) > 4
    assert files_of(pipeline.ingest_step(config, Silent()).folder) == expected


def test_files_folders_and_globs_are_found_as_on_a_disk(bucket, tmp_path):
    for name in ("a/x.jsonl", "a/.hidden.jsonl", "a/.git/y.jsonl", "a/b/z.csv", "c.txt", "d.json"):
        bucket.put(name)
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(LINE)
    for pattern in ("", "a", "*/*.jsonl", "a/b/z.csv", "**/*.csv", "[ad]*"):
        here = find_sources([tmp_path / pattern], print)
        there = bucket.found(pattern)
        assert [file.name for file in there] == [file.name for file in here]
        assert [file.label for file in there] == [file.label for file in here]
    (named,) = find_sources([f"mine={bucket.url('a/x.jsonl')}"], print)
    assert (named.label, named.named) == ("mine", True)


def test_names_of_a_disk_and_of_a_store_are_free_of_the_machines_folders(bucket, tmp_path):
    (tmp_path / "here.jsonl").write_bytes(LINE)
    bucket.put("in/there.jsonl")
    found = find_sources([tmp_path / "here.jsonl", bucket.url("in")], print)
    assert [file.name for file in found] == ["here.jsonl", "there.jsonl"]
    bucket.put("in/here.jsonl")
    with pytest.raises(CorpusError, match="its name is that of another source"):
        find_sources([tmp_path / "here.jsonl", bucket.url("in")], print)


def test_a_data_set_of_hugging_face_lists_its_files(bucket):
    splits = "- split: train\n    path: 'in/tr*.jsonl'\n  - split: test\n    path: in/te*"
    bucket.put("README.md", f"---\nconfigs:\n- data_files:\n  {splits}\n---\n".encode())
    for name in ("in/train.jsonl", "in/test.jsonl", "other.jsonl"):
        bucket.put(name)
    notes = []
    assert [file.name for file in bucket.found("", note=notes.append)] == ["train.jsonl"]
    assert any('"test"' in note for note in notes)


def test_a_mixture_of_ours_in_a_folder_is_passed_over(bucket, tmp_path):
    mixture_of_all(flan_like(tmp_path / "corpus"), tmp_path / "made" / "mix")
    bucket.put_folder(tmp_path / "made")
    bucket.put("own.jsonl")
    notes = []
    names = [file.name for file in bucket.found("", note=notes.append)]
    assert names == ["own.jsonl"]
    assert any("smartx wrote it" in note for note in notes)


def test_an_empty_object_that_stands_for_a_folder_is_no_file(bucket, monkeypatch):
    bucket.put("in/a.jsonl")
    real = bucket.system.__class__.find

    def find(self, path, **options):
        mark = f"{path.rstrip('/')}/"
        return {mark: {"name": mark, "size": 0, "type": "file"}, **real(self, path, **options)}

    monkeypatch.setattr(bucket.system.__class__, "find", find)
    place = remote.at(bucket.url("in"))
    assert [path.name for path in place.below()] == ["a.jsonl"]
    assert [file.name for file in bucket.found("in")] == ["a.jsonl"]


def test_a_file_named_twice_is_read_once(bucket):
    bucket.put("a.jsonl")
    assert len(bucket.found("a.jsonl", "", "*.jsonl")) == 1


@pytest.mark.parametrize("content", [LINE * 2, b'{"prompt": "q", "response": "r"}\n', None])
def test_an_object_that_changes_while_it_is_read_is_an_error(
    bucket, tmp_path, monkeypatch, content
):
    bucket.put("a.jsonl")
    wanted = ingestion([bucket.url("a.jsonl")])
    assert wanted.key
    real = remote.RemotePath.open

    def replaced(self, *arguments, **options):
        file = real(self, *arguments, **options)
        if content is None:
            bucket.system.rm_file(self.key)
        else:
            bucket.put("a.jsonl", content)
        return file

    monkeypatch.setattr(remote.RemotePath, "open", replaced)
    word = "deleted" if content is None else "changed"
    with pytest.raises(CorpusError, match=f"it (was|) ?{word} while it was read") as caught:
        wanted.into(tmp_path / "out")
    assert caught.value.place == bucket.url("a.jsonl")
    assert not (tmp_path / "out").exists()


def test_another_object_gives_another_corpus_and_the_same_one_is_not_read_again(
    bucket, tmp_path, monkeypatch
):
    bucket.put("a.jsonl", LINE * 3)
    first = ingest([bucket.url("a.jsonl")], tmp_path / "a").digest
    opened, real = [], remote.RemotePath.open
    monkeypatch.setattr(
        remote.RemotePath,
        "open",
        lambda self, *a, **o: (opened.append(self), real(self, *a, **o))[1],
    )
    assert ingest([bucket.url("a.jsonl")], tmp_path / "a").digest == first
    assert opened == []
    bucket.put("a.jsonl", LINE * 3)
    assert ingest([bucket.url("a.jsonl")], tmp_path / "b").digest != first


MARKS = {
    "an entity tag": ({"ETag": '"1"'}, {"ETag": '"2"'}),
    "a checksum": ({"md5Hash": b"1"}, {"md5Hash": b"2"}),
    "a size": ({"ETag": '"1"', "size": 9}, {"ETag": '"1"', "size": 8}),
    "a time": ({"created": 1.0}, {"created": 2.0}),
}


@pytest.mark.parametrize(("one", "other"), MARKS.values(), ids=MARKS)
def test_what_a_store_says_of_an_object_stands_for_its_content(bucket, one, other):
    bucket.put("a.jsonl")
    (file,) = bucket.found("a.jsonl")
    seen = {}
    for word, told in (("one", one), ("again", {**one, "Owner": "x"}), ("other", other)):
        file.path.store.known[file.path.key] = {"type": "file", "size": 9, **told}
        seen[word] = (file.path.digest(), file.path.signature())
    assert seen["one"] == seen["again"]
    assert seen["one"][0] != seen["other"][0]
    assert seen["one"][1] != seen["other"][1]


def test_a_tag_stands_before_a_time_so_that_a_copy_is_the_same(bucket):
    bucket.put("a.jsonl")
    (file,) = bucket.found("a.jsonl")
    seen = set()
    for moment in (1.0, 2.0):
        told = {"type": "file", "size": 9, "etag": "x", "LastModified": moment}
        file.path.store.known[file.path.key] = told
        seen.add((file.path.digest(), file.path.signature()))
    assert len(seen) == 1


def test_where_a_store_says_nothing_the_content_is_hashed(bucket):
    digests = {}
    for name, content in (("a.jsonl", LINE), ("b.jsonl", LINE), ("c.jsonl", LINE * 2)):
        bucket.put(name, content)
        (file,) = bucket.found(name)
        file.path.store.known[file.path.key] = {"type": "file", "size": 9}
        digests[name] = file.path.digest()
    assert digests["a.jsonl"] == digests["b.jsonl"] != digests["c.jsonl"]


def test_mixtures_of_sources_in_stores_are_told_apart(bucket, tmp_path):
    made = []
    for name in ("a", "b"):
        bucket.put(f"{name}.jsonl", LINE * (2 + len(made)))
        corpus = ingest([bucket.url(f"{name}.jsonl")], tmp_path / name)
        made.append(corpus.manifest["sources"][0])
    assert made[0]["fingerprint"] != made[1]["fingerprint"]
    mixtures = [Mixture(tmp_path, {"sources": [source], "tasks": []}) for source in made]
    for one in mixtures:
        vars(one)["indices"] = [0]
    assert compare(mixtures[0], mixtures[1]).shared is None
    assert compare(mixtures[0], mixtures[0]).shared == 1


class FailingError(Exception):
    """As a package of a store raises them: no OSError."""


def test_an_error_of_a_store_names_the_url_and_hides_secrets(bucket, monkeypatch, tmp_path):
    bucket.put("a.jsonl")
    bucket.put("a.parquet")
    said = "cannot GET https://host/a?X-Sig=topsecret nor s3://me:topsecret@host"

    def fail(*arguments, **options):
        raise FailingError(said)

    for name in ("a.jsonl", "a.parquet"):
        wanted = ingestion([bucket.url(name)])
        assert wanted.signatures
        monkeypatch.setattr(bucket.system.__class__, "open", fail)
        with pytest.raises(CorpusError) as caught:
            wanted.into(tmp_path / "out")
        monkeypatch.undo()
        assert bucket.url(name) in str(caught.value)
        assert "https://host/a?..." in str(caught.value)
        assert "topsecret" not in str(caught.value)
        assert caught.value.fix


def test_what_is_missing_is_said_with_the_fix(bucket, monkeypatch):
    bucket.put("a.jsonl")
    bucket.put("only/notes.txt")
    for name, words in (("b.jsonl", "no such"), ("none", "no such"), ("x*.jsonl", "no supported")):
        with pytest.raises(CorpusError, match=words) as caught:
            bucket.found(name)
        assert caught.value.place == bucket.url(name)
    with pytest.raises(CorpusError, match="no supported file"):
        bucket.found("only")
    with pytest.raises(CorpusError, match="not supported"):
        bucket.found("only/notes.txt")
    with pytest.raises(InputError, match="Protocol not known"):
        find_sources(["what://a/b.jsonl"], print)
    with pytest.raises(InputError, match="a user and a password") as caught:
        find_sources(["s3://me:topsecret@host/b.jsonl"], print)
    assert "topsecret" not in str(caught.value)
    with pytest.raises(InputError, match="web server does not say"):
        find_sources(["https://host/*.jsonl"], print)


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    def lacks(url):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", lacks)
    for url, package in (("s3://b/a.csv", "s3fs"), ("gs://b/a", "gcsfs"), ("az://b/a", "adlfs")):
        with pytest.raises(InputError, match=f'"{package}", which is not installed') as caught:
            find_sources([url], print)
        assert caught.value.fix == f"pip install {package}"
        assert caught.value.place == url
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(MissingPackageError, match=r"smartx-mix\[stores\]"):
        find_sources(["s3://b/a.csv"], print)


def test_urls_are_shown_without_what_may_be_secret():
    assert shown("https://h/a/b.csv?sig=x#y") == "https://h/a/b.csv"
    assert shown("s3://me:pw@bucket/a?.csv") == "s3://bucket/a?.csv"
    assert shown("abfs://container@account/a.csv") == "abfs://container@account/a.csv"
    assert (
        without_secrets("see https://h/a?sig=x, s3://u:p@h/k") == "see https://h/a?... s3://...@h/k"
    )
    assert reason(ValueError("\n")) == "ValueError"
    assert is_url("s3://b/k")
    assert not any(map(is_url, ("a.jsonl", "file:///a", "c:/a", "a=s3://b", "/x://y")))


@pytest.fixture
def web(tmp_path):
    """A folder served by HTTP, and its address."""
    pytest.importorskip("aiohttp")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    (tmp_path / "web").mkdir()
    handler = functools.partial(Quiet, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tmp_path / "web", f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.processes
def test_a_signed_address_of_the_web_is_in_no_file(web, tmp_path, monkeypatch):
    folder, address = web
    sources = write_sources(tmp_path / "sources")
    expected = files_of(
        ingest([sources / "b.jsonl.gz", sources / "i.jsonl"], tmp_path / "o").folder
    )
    for name in ("b.jsonl.gz", "i.jsonl"):
        (folder / name).write_bytes((sources / name).read_bytes())
    urls = [f"{address}/{name}?sig=topsecret" for name in ("b.jsonl.gz", "i.jsonl")]
    monkeypatch.setattr("sys.argv", ["smartx", "ingest", *urls])
    config = config_from({"sources": urls, "run_dir": tmp_path / "work"})
    corpus = pipeline.ingest_step(config, Silent())
    assert files_of(corpus.folder) == expected
    assert [s["url"] for s in corpus.manifest["sources"]] == [u.partition("?")[0] for u in urls]
    told = json.loads((tmp_path / "work" / RECORDS).read_bytes())[-1]["command"]
    assert told[2] == f"{address}/b.jsonl.gz?..."
    for path in (tmp_path / "work").rglob("*"):
        assert path.is_dir() or b"topsecret" not in path.read_bytes()
    with pytest.raises(CorpusError) as caught:
        ingest([f"{address}/none.jsonl?sig=topsecret"], tmp_path / "none")
    assert "topsecret" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.processes
def test_s3_by_shards_and_by_a_pool(tmp_path, monkeypatch):
    for package in ("s3fs", "moto", "flask"):
        pytest.importorskip(package)
    from fake_s3 import server

    sources = write_sources(tmp_path / "sources")
    for name in ("x", "y"):
        rows = [{"prompt": f"{name}{n}" * 30, "response": "r" * 80, "k": n} for n in range(6_000)]
        (sources / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with server() as environment:
        for name, value in environment.items():
            monkeypatch.setitem(os.environ, name, value)
        store = fsspec.filesystem("s3", skip_instance_cache=True)
        store.mkdir("bucket")
        for path in sources.iterdir():
            store.put_file(str(path), f"bucket/in/{path.name}")
        expected = files_of(ingest([sources], tmp_path / "one").folder)
        assert files_of(ingest(["s3://bucket/in"], tmp_path / "s3").folder) == expected
        told = {"sources": ["s3://bucket/in/*"], "threads": 1}
        config = config_from({**told, "run_dir": tmp_path / "work"})
        shards = [pipeline.shard_step(config, Silent(), "ingest", f"{n}/2") for n in (1, 0)]
        assert sum(shard.made for shard in shards) > 1
        assert files_of(pipeline.ingest_step(config, Silent()).folder) == expected
        config = config_from({**told, "run_dir": tmp_path / "p", "executor": "processes:2"})
        assert files_of(pipeline.ingest_step(config, Silent()).folder) == expected
        for path in tmp_path.rglob("*.json"):
            assert b"own-secret" not in path.read_bytes()
