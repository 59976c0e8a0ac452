"""Files appear whole or not at all; a stage counts as done only when its key and files are
right.
"""

import json

import pytest

from smartx.errors import StoreError
from smartx.store import (
    FileEntry,
    Stage,
    canonical_json,
    commit_bytes,
    committing,
    file_digest,
    key_of,
    sweep,
)


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


def test_the_temporary_name_keeps_the_ending(tmp_path):
    with committing(tmp_path / "a.parquet") as temporary:
        assert temporary.suffix == ".parquet"
        temporary.write_bytes(b"x")
    assert (tmp_path / "a.parquet").read_bytes() == b"x"


def test_sweep_deletes_what_a_killed_run_left_and_nothing_else(tmp_path):
    with committing(tmp_path / "a.txt") as temporary:
        temporary.write_bytes(b"x")
        (tmp_path / (temporary.name + "-left")).write_bytes(b"half")
    (tmp_path / ".hidden").write_bytes(b"mine")
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "a.txt"]


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


def test_a_stage_that_began_again_is_not_done(tmp_path):
    stage = finished_stage(tmp_path)
    stage.begin()
    assert not stage.is_done("k")
    with pytest.raises(StoreError, match="not been finished"):
        stage.manifest()


def test_finishing_deletes_files_of_an_earlier_run(tmp_path):
    finished_stage(tmp_path)
    (tmp_path / "rows-old.bin").write_bytes(b"stale")
    finished_stage(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "rows.bin"]


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
