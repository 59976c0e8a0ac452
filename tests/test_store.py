"""Files appear whole or not at all; a stage counts as done only when its key and files are
right.
"""

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import tree_digest
from smartx.errors import StoreError
from smartx.files import (
    MARK,
    canonical_json,
    commit_bytes,
    committing,
    file_digest,
    has_mark,
    own,
    storing,
    sweep,
    temporary_path,
)
from smartx.store import FileEntry, Sidecar, Stage, is_sealed, key_of, read_manifest, sealed


def finished_stage(folder, *, key="k", content=b"abc"):
    stage = Stage("corpus", folder)
    stage.begin()
    commit_bytes(folder / "rows.bin", content)
    entries = [FileEntry.of(folder / "rows.bin", 3)]
    stage.finish(key=key, schema=1, parameters={}, inputs={}, files=entries, facts={"rows": 3})
    return stage


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    commit_bytes(tmp_path / "a.txt", b"old")

    def write_half():
        with committing(tmp_path / "a.txt") as temporary:
            temporary.write_bytes(b"half of the n")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk"):
        write_half()
    assert (tmp_path / "a.txt").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EFBIG])
def test_what_a_disk_refuses_is_one_error_with_place_fault_and_fix(tmp_path, number):
    commit_bytes(tmp_path / "a.txt", b"old")

    def write():
        with committing(tmp_path / "a.txt") as temporary:
            temporary.write_bytes(b"half")
            raise OSError(number, os.strerror(number))

    with pytest.raises(StoreError) as caught:
        write()
    assert caught.value.place == str(tmp_path / "a.txt")
    assert os.strerror(number) in caught.value.fault
    assert caught.value.fix
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_an_error_about_another_file_keeps_its_own_name(tmp_path):
    with pytest.raises(PermissionError), storing(tmp_path / "work"):
        raise PermissionError(errno.EACCES, "no", str(tmp_path / "source.jsonl"))
    with pytest.raises(StoreError), storing(tmp_path / "work"):
        raise PermissionError(errno.EACCES, "no", str(tmp_path / "work" / "a" / "b"))


def test_a_file_where_a_folder_is_needed_is_one_clear_error(tmp_path):
    (tmp_path / "work").write_text("mine")
    with pytest.raises(StoreError, match="a file stands where a folder is needed"):
        commit_bytes(tmp_path / "work" / "a.txt", b"x")


def test_the_temporary_name_keeps_the_ending(tmp_path):
    with committing(tmp_path / "a.parquet") as temporary:
        assert temporary.suffix == ".parquet"
        temporary.write_bytes(b"x")
    assert (tmp_path / "a.parquet").read_bytes() == b"x"


def test_sweep_deletes_what_a_killed_run_left_and_nothing_that_only_looks_like_it(tmp_path):
    own(tmp_path, "run folder")
    left = temporary_path(tmp_path / "a.txt")
    left.write_bytes(b"half")
    temporary_path(tmp_path / "folder").mkdir()
    foreign = [".x.tmp.y", ".a.tmp.0123.bin", ".report.tmp.keep", "notes.txt", "rows.bin.json"]
    for name in foreign:
        (tmp_path / name).write_bytes(b"mine")
    sweep(tmp_path)
    assert not left.exists()
    assert all((tmp_path / name).read_bytes() == b"mine" for name in foreign)


def test_sweep_touches_nothing_in_a_folder_without_our_mark(tmp_path):
    left = temporary_path(tmp_path / "a.txt")
    left.write_bytes(b"half")
    sweep(tmp_path)
    assert left.exists()


@pytest.mark.parametrize("name", ["notes.txt", "manifest.json", ".lock", "q12-00000.npy"])
def test_a_folder_that_holds_anything_of_somebody_else_is_refused_and_left_alone(tmp_path, name):
    (tmp_path / name).write_bytes(b"mine")
    before = tree_digest(tmp_path)
    with pytest.raises(StoreError, match="did not write") as caught:
        Stage("corpus", tmp_path).begin()
    assert "choose another folder" in caught.value.fix
    assert tree_digest(tmp_path) == before


def test_a_link_in_a_run_folder_is_refused_and_what_it_points_to_left_alone(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_bytes(b"mine")
    run = tmp_path / "run"
    own(run, "run folder")
    (run / "corpus").symlink_to(mine)
    for folder in (run / "corpus", run / "corpus" / "0123"):
        with pytest.raises(StoreError, match="it is a link"):
            Stage("corpus", folder).begin()
    assert sorted(path.name for path in mine.iterdir()) == ["notes.txt"]


def test_a_mark_whose_writing_was_cut_off_is_written_again(tmp_path):
    (tmp_path / MARK).write_bytes(b"")
    own(tmp_path, "run folder")
    assert has_mark(tmp_path)


def test_a_stage_that_is_given_up_leaves_what_others_put_there(tmp_path):
    stage = Stage("corpus", tmp_path / "corpus")
    stage.begin()
    commit_bytes(stage.folder / "rows.bin", b"ours")
    stage.abandon()
    assert not stage.folder.exists()
    stage.begin()
    commit_bytes(stage.folder / "rows.bin", b"ours")
    (stage.folder / "notes.txt").write_bytes(b"mine")
    stage.abandon()
    assert (stage.folder / "notes.txt").read_bytes() == b"mine"
    assert not (stage.folder / "rows.bin").exists()


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b", ""])
def test_a_manifest_that_names_files_outside_its_folder_is_not_read(tmp_path, name):
    entry = {"name": name, "bytes": 1, "sha256": "0", "rows": 1}
    (tmp_path / "manifest.json").write_bytes(canonical_json(sealed({"files": [entry]})))
    with pytest.raises(StoreError, match="not inside the folder"):
        read_manifest(tmp_path / "manifest.json")


@pytest.mark.parametrize(
    "content", [b'{"a": 1e999}', b'{"a": NaN}', b"[" * 100_000, b'{"files": 1}']
)
def test_a_hostile_manifest_is_one_clear_error(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(StoreError, match="cannot be read"):
        read_manifest(tmp_path / "manifest.json")


def test_a_stage_is_done_for_its_own_key_only(tmp_path):
    stage = finished_stage(tmp_path, key="one")
    assert stage.is_done("one")
    assert not stage.is_done("two")


def test_a_stage_with_a_missing_or_cut_file_is_not_done(tmp_path):
    stage = finished_stage(tmp_path)
    (tmp_path / "rows.bin").write_bytes(b"ab")
    assert not stage.is_done("k")
    (tmp_path / "rows.bin").unlink()
    assert not stage.is_done("k")


def test_a_stage_with_a_flipped_bit_looks_done_and_is_not_reused(tmp_path):
    stage = finished_stage(tmp_path)
    assert stage.reuse("k")
    (tmp_path / "rows.bin").write_bytes(b"abd")
    assert stage.is_done("k")
    assert not stage.reuse("k")


def test_a_stage_of_another_layout_says_which_it_has_and_which_is_read(tmp_path):
    stage = finished_stage(tmp_path)
    assert stage.manifest(1) == stage.manifest()
    with pytest.raises(StoreError, match="layout is 1, and this version reads layout 2") as caught:
        stage.manifest(2)
    assert "smartx ingest" in caught.value.fix


def test_a_file_is_hashed_once_a_process_until_it_changes(tmp_path, monkeypatch):
    stage, hashed = finished_stage(tmp_path), []
    monkeypatch.setattr("smartx.files.file_digest", lambda p: hashed.append(p) or file_digest(p))
    for _ in range(3):
        assert stage.reuse("k")
    assert len(hashed) <= 1
    os.utime(tmp_path / "rows.bin", ns=(1, 1))
    assert stage.reuse("k")
    assert len(hashed) <= 2


def test_reuse_deletes_what_a_kill_after_the_manifest_left_and_nothing_else(tmp_path):
    stage = finished_stage(tmp_path)
    Sidecar(tmp_path / "rows.bin", "p").vouch(FileEntry.of(tmp_path / "rows.bin", 1))
    temporary_path(tmp_path / "rows.bin").write_text("half")
    (tmp_path / "rows-old.bin").write_bytes(b"mine")
    assert not stage.reuse("other")
    assert len(list(tmp_path.iterdir())) == 6
    assert stage.reuse("k")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [MARK, "manifest.json", "rows-old.bin", "rows.bin"]


def test_a_manifest_that_lost_its_last_line_end_is_mended_by_reuse(tmp_path):
    stage = finished_stage(tmp_path)
    whole = stage.manifest_path.read_bytes()
    stage.manifest_path.write_bytes(whole.rstrip())
    assert stage.reuse("k")
    assert stage.manifest_path.read_bytes() == whole


def test_a_part_counts_only_with_its_key_and_its_bytes(tmp_path):
    sidecar = Sidecar(tmp_path / "part.bin", "k")
    entry = sidecar.commit(3, lambda path: path.write_bytes(b"abc"))
    assert sidecar.whole_part() == entry == FileEntry.of(tmp_path / "part.bin", 3)
    assert Sidecar(tmp_path / "part.bin", "other").whole_part() is None
    for content in (b"ab", b"abd"):
        (tmp_path / "part.bin").write_bytes(content)
        assert sidecar.whole_part() is None
    (tmp_path / "part.bin").write_bytes(b"abc")
    assert sidecar.whole_part() == entry
    sidecar.path.write_bytes(b"{")
    assert sidecar.whole_part() is None


def test_the_parts_of_a_damaged_stage_are_vouched_for_and_judged_one_by_one(tmp_path):
    stage = Stage("ranking", tmp_path)
    stage.begin()
    entries = [
        Sidecar(tmp_path / f"{i}.bin", "p").commit(1, lambda path: path.write_bytes(b"x"))
        for i in range(3)
    ]
    stage.finish(key="k", schema=1, parameters={}, inputs={}, files=entries, facts={})
    assert not list(tmp_path.glob("*.json.json"))
    (tmp_path / "1.bin").write_bytes(b"y")
    stage.keep_parts("other", lambda _: "p")
    assert not Sidecar(tmp_path / "0.bin", "p").path.exists()
    stage.keep_parts("k", lambda _: "p")
    kept = [Sidecar(tmp_path / f"{i}.bin", "p").whole_part() for i in range(3)]
    assert kept == [entries[0], None, entries[2]]


def test_a_changed_manifest_breaks_its_seal(tmp_path):
    stage = finished_stage(tmp_path)
    content = stage.manifest()
    assert is_sealed(content)
    for changed in ({**content, "rows": 4}, {**content, "more": 1}, {"stage": "corpus"}):
        assert not is_sealed(changed)
        stage.manifest_path.write_bytes(canonical_json(changed))
        with pytest.raises(StoreError, match="not what was written"):
            stage.manifest()
    assert is_sealed(sealed({"stage": "corpus"}))


def test_a_finished_stage_stands_until_a_new_one_is_finished(tmp_path):
    stage = finished_stage(tmp_path)
    stage.begin()
    stage.abandon()
    assert stage.reuse("k")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"stage": "ranking"}', b"\xff"])
def test_a_damaged_or_foreign_manifest_is_a_clear_error(tmp_path, content):
    stage = finished_stage(tmp_path)
    stage.manifest_path.write_bytes(content)
    assert not stage.is_done("k")
    with pytest.raises(StoreError) as caught:
        stage.manifest()
    assert str(tmp_path) in caught.value.place
    assert caught.value.fix


def test_the_manifest_says_size_and_digest_of_every_file(tmp_path):
    stage = finished_stage(tmp_path, content=b"abc")
    (entry,) = stage.manifest()["files"]
    assert entry["bytes"] == 3
    assert entry["sha256"] == file_digest(tmp_path / "rows.bin")
    assert entry["sha256"].startswith("ba7816bf")  # SHA-256 of "abc", FIPS 180


def test_a_key_changes_with_everything_that_goes_into_it():
    base = ("rank", 1, {"seed": 1}, {"corpus": "x"})
    others = [
        ("mix", 1, {"seed": 1}, {"corpus": "x"}),
        ("rank", 2, {"seed": 1}, {"corpus": "x"}),
        ("rank", 1, {"seed": 2}, {"corpus": "x"}),
        ("rank", 1, {"seed": 1}, {"corpus": "y"}),
    ]
    keys = {key_of(*arguments) for arguments in (base, *others)}
    assert len(keys) == 5
    assert key_of(*base) == key_of("rank", 1, dict(base[2]), dict(base[3]))


def test_canonical_json_does_not_depend_on_the_order_of_insertion_and_refuses_nan():
    assert canonical_json({"b": 1, "ä": 2}) == canonical_json({"ä": 2, "b": 1})
    assert json.loads(canonical_json({"ä": 2}).decode()) == {"ä": 2}
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": float("nan")})


def test_runs_that_mark_one_new_folder_at_once_do_not_disturb_each_other(tmp_path):
    def work(number):
        own(tmp_path / str(number // 8), "run folder")
        sweep(tmp_path / str(number // 8))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(400)))
    assert all(has_mark(tmp_path / str(number)) for number in range(50))
