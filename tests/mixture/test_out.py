"""The folder of a mixture: nothing of anybody else in it or beside it is ever touched."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from conftest import tree_digest
from small import flan_like, vectors_for
from smartx.budget import allot
from smartx.errors import InputError, StoreError
from smartx.files import canonical_json
from smartx.mixture import assemble, mixture_facts, open_mixture, out, write, write_mixture
from smartx.rankers import RandomRanker, rank_corpus
from smartx.store import sealed
from smartx.weights import Proportional


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return flan_like(tmp_path_factory.mktemp("mixture"))


@pytest.fixture(scope="module")
def ranked(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rankings")
    return rank_corpus(corpus, vectors_for(corpus), RandomRanker(1), folder, threads=1)


def mix(corpus, ranked, folder, *, total=20, report=None, overwrite=False):
    law, ranker = Proportional(), RandomRanker(1)
    allotment = allot(corpus.groups, law, means=None, total=total, seed=0)
    chosen = assemble(corpus, ranked, allotment.groups, seed=0)
    named = {"law": law, "ranker": ranker, "preset": "", "seed": 0, "version": "0"}
    facts = mixture_facts(corpus, ranked, allotment, chosen, **named)
    return write_mixture(corpus, chosen, folder, facts=facts, report=report, overwrite=overwrite)


def rows_of(mixture):
    return pq.read_table(mixture.folder / "data").to_pylist()


def fail(*arguments, **options):
    raise RuntimeError("stop")


def test_a_foreign_folder_is_refused_and_left_alone(corpus, ranked, tmp_path):
    folder = tmp_path / "mix"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not a mixture") as caught:
        mix(corpus, ranked, folder, overwrite=True)
    assert caught.value.place == str(folder)
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_files_of_others_inside_a_mixture_are_not_deleted(corpus, ranked, tmp_path):
    mix(corpus, ranked, tmp_path / "mix")
    (tmp_path / "mix" / "notes").mkdir()
    (tmp_path / "mix" / "notes" / "a.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes/a\.txt"):
        mix(corpus, ranked, tmp_path / "mix", total=9, overwrite=True)
    assert (tmp_path / "mix" / "notes" / "a.txt").exists()


def test_a_file_or_a_link_is_refused(corpus, ranked, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "nowhere").symlink_to(tmp_path / "lost")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for name, fault in (("file", "not a folder"), ("nowhere", "is a link"), ("link", "is a link")):
        with pytest.raises(InputError, match=fault):
            mix(corpus, ranked, tmp_path / name)


def test_an_empty_folder_becomes_the_mixture(corpus, ranked, tmp_path):
    folder = tmp_path / "deep" / "mix"
    folder.mkdir(parents=True)
    assert len(rows_of(mix(corpus, ranked, folder, total=9))) == 9
    assert [path.name for path in folder.parent.iterdir()] == ["mix"]


def test_another_mixture_is_replaced_only_on_request(corpus, ranked, tmp_path):
    folder = tmp_path / "mix"
    before = tree_digest(mix(corpus, ranked, folder, total=9).folder)
    with pytest.raises(InputError, match=r"another mixture stands there \(9 rows") as caught:
        mix(corpus, ranked, folder, total=30)
    assert "`overwrite`" in caught.value.fix
    assert tree_digest(folder) == before
    assert len(rows_of(mix(corpus, ranked, folder, total=30, overwrite=True))) == 30
    assert [path.name for path in tmp_path.iterdir()] == ["mix"]


def test_the_same_mixture_again_is_used_as_it_is_and_a_damaged_one_is_mended(
    corpus, ranked, tmp_path
):
    folder = tmp_path / "mix"
    before = tree_digest(mix(corpus, ranked, folder).folder)
    inode = (folder / "manifest.json").stat().st_ino
    mix(corpus, ranked, folder)
    assert (folder / "manifest.json").stat().st_ino == inode
    (folder / "README.md").write_text("damaged")
    mix(corpus, ranked, folder)
    assert tree_digest(folder) == before


@pytest.mark.parametrize("place", ["report", "manifest", "rename"])
def test_a_failure_on_the_way_leaves_the_old_mixture(corpus, ranked, tmp_path, monkeypatch, place):
    before = tree_digest(mix(corpus, ranked, tmp_path / "mix", total=9).folder)
    if place == "manifest":
        monkeypatch.setattr(write, "sealed", fail)
    if place == "rename":
        look = lambda folder, _: "old" in folder.name and fail()  # noqa: E731
        monkeypatch.setattr(out, "_refuse_foreign", look)
    report = fail if place == "report" else None
    with pytest.raises(RuntimeError):
        mix(corpus, ranked, tmp_path / "mix", report=report, overwrite=True)
    assert tree_digest(tmp_path / "mix") == before
    assert [path.name for path in tmp_path.iterdir()] == ["mix"]


@pytest.mark.parametrize("absent", [True, False])
def test_what_somebody_puts_into_out_while_the_run_works_stays(corpus, ranked, tmp_path, absent):
    folder = tmp_path / "mix"
    if not absent:
        mix(corpus, ranked, folder, total=9)

    def report(*_):
        folder.mkdir(exist_ok=True)
        (folder / "thesis.txt").write_text("mine")
        return "report"

    with pytest.raises(InputError, match=r"not a mixture|not part of it"):
        mix(corpus, ranked, folder, report=report, overwrite=True)
    assert (folder / "thesis.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["mix"]


def test_a_run_killed_at_the_last_step_leaves_the_old_mixture_to_the_next_run(
    corpus, ranked, tmp_path, monkeypatch
):
    before = tree_digest(mix(corpus, ranked, tmp_path / "mix", total=9).folder)
    with monkeypatch.context() as killed:  # between the two renames, nothing cleaned up behind it
        killed.setattr(out.shutil, "rmtree", lambda *_, **__: None)
        killed.setattr(out, "_step_in", fail)
        with pytest.raises(RuntimeError):
            mix(corpus, ranked, tmp_path / "mix", overwrite=True)
    out._beside(tmp_path / "mix", "0123").mkdir()  # killed before its mark was written
    assert len(list(tmp_path.iterdir())) == 3
    with pytest.raises(RuntimeError):
        mix(corpus, ranked, tmp_path / "mix", report=fail, overwrite=True)
    assert tree_digest(tmp_path / "mix") == before
    assert [path.name for path in tmp_path.iterdir()] == ["mix"]


def test_folders_that_only_look_like_leftovers_stay(corpus, ranked, tmp_path):
    foreign = [".mix.old", ".mix.tmp.notes", ".mix.old.mine"]
    for name in foreign:
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("mine")
    mix(corpus, ranked, tmp_path / "mix")
    mix(corpus, ranked, tmp_path / "mix", total=9, overwrite=True)
    assert all((tmp_path / name / "thesis.txt").read_text() == "mine" for name in foreign)
    assert sorted(path.name for path in tmp_path.iterdir()) == [*sorted(foreign), "mix"]


def test_two_mixtures_with_long_names_do_not_share_what_lies_beside_them(corpus, ranked, tmp_path):
    names = [f"{'m' * 200}{number}" for number in range(2)]
    for total in (9, 12):
        for name in names:
            mix(corpus, ranked, tmp_path / name, total=total, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_opening_something_else_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="not a mixture"):
        open_mixture(tmp_path)


def test_a_mixture_from_before_a_fact_was_told_is_the_same_choice_and_made_anew(
    corpus, ranked, tmp_path
):
    whole = mix(corpus, ranked, tmp_path / "mix")
    old = {n: v for n, v in whole.manifest.items() if n not in ("shares", "seal")}
    (tmp_path / "mix" / "manifest.json").write_bytes(canonical_json(sealed(old)))
    assert "shares" not in open_mixture(tmp_path / "mix").manifest
    again = mix(corpus, ranked, tmp_path / "mix")
    assert again.manifest == whole.manifest
    with pytest.raises(InputError, match=r"differs in: budget\)"):
        mix(corpus, ranked, tmp_path / "mix", total=9)
