"""An export goes to the Hub: a stand-in says what it was asked."""

from __future__ import annotations

import fnmatch
import inspect
from types import SimpleNamespace

import pytest

from made_mixtures import PAIRS, mixture_of
from smartx import exports
from smartx.errors import InputError, MissingPackageError, SmartxError


class StandIn:
    """In the place of `huggingface_hub.HfApi`."""

    def __init__(self, fails: str = "") -> None:
        self.fails, self.made, self.uploaded = fails, [], []

    def whoami(self):
        if self.fails == "whoami":
            raise OSError("Max retries exceeded\nand so on")
        return {"name": "somebody"}

    def create_repo(self, repo_id, *, repo_type, private, exist_ok):
        self.made.append((repo_id, repo_type, private, exist_ok))

    def upload_folder(self, *, repo_id, folder_path, repo_type, commit_message, ignore_patterns):
        if self.fails == "upload":
            raise RuntimeError("403 Forbidden")
        self.uploaded.append((repo_id, folder_path, repo_type, commit_message, ignore_patterns))
        return SimpleNamespace(oid="abc123")


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    return mixture_of(PAIRS, tmp_path_factory.mktemp("made"))


def test_a_data_set_is_private_unless_it_is_to_be_public(mixture, tmp_path):
    for public in (False, True):
        hub = StandIn()
        made = exports.export(
            mixture, "trl", tmp_path / "out", push_to="me/mix", public=public, hub=hub
        )
        assert hub.made == [("me/mix", "dataset", not public, True)]
        assert made.commit == "abc123"


def test_what_is_of_this_machine_alone_stays_here(mixture, tmp_path):
    hub = StandIn()
    for name in exports.FORMATS:
        made = exports.export(mixture, name, tmp_path / name, push_to="me/mix", hub=hub)
        *_, ignored = hub.uploaded[-1]
        for path in made.folder.rglob("*"):
            sent = not any(fnmatch.fnmatch(path.name, pattern) for pattern in ignored)
            if sent and path.suffix in (".json", ".yaml", ".md"):
                assert str(tmp_path) not in path.read_text(encoding="utf-8"), path
        assert not any(fnmatch.fnmatch("train.jsonl", pattern) for pattern in ignored)
        assert not any(fnmatch.fnmatch("README.md", pattern) for pattern in ignored)


def test_where_nobody_is_logged_in_nothing_is_written(mixture, tmp_path):
    with pytest.raises(SmartxError, match="nobody is logged in") as problem:
        exports.export(mixture, "trl", tmp_path / "out", push_to="me/mix", hub=StandIn("whoami"))
    assert "and so on" not in str(problem.value)
    assert not (tmp_path / "out").exists()


def test_where_the_hub_refuses_the_export_stands(mixture, tmp_path):
    with pytest.raises(SmartxError, match="403 Forbidden"):
        exports.export(mixture, "trl", tmp_path / "out", push_to="me/mix", hub=StandIn("upload"))
    hub = StandIn()
    exports.export(mixture, "trl", tmp_path / "out", push_to="me/mix", hub=hub)
    assert len(hub.uploaded) == 1


@pytest.mark.parametrize("name", ["mix", "a/b/c", "../x", "a b/c", ""])
def test_a_name_that_is_none_is_refused_before_anything_is_asked(mixture, tmp_path, name):
    hub = StandIn("whoami")
    if not name:
        assert exports.export(mixture, "ids", tmp_path / "out", push_to=name, hub=hub).commit == ""
        return
    with pytest.raises(InputError, match="not the name of a data set"):
        exports.export(mixture, "ids", tmp_path / "out", push_to=name, hub=hub)
    assert not (tmp_path / "out").exists()


def test_without_the_package_the_extra_is_named(mixture, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(MissingPackageError, match=r"smartx-mix\[hub\]"):
        exports.export(mixture, "ids", tmp_path / "out", push_to="me/mix")
    assert not (tmp_path / "out").exists()


def test_the_hub_takes_what_the_stand_in_takes():
    api = pytest.importorskip("huggingface_hub").HfApi
    for name in ("whoami", "create_repo", "upload_folder"):
        wanted = set(inspect.signature(getattr(StandIn, name)).parameters)
        assert wanted <= set(inspect.signature(getattr(api, name)).parameters)
