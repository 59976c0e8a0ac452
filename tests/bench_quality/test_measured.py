"""Proxies of runs that are done: measured once, of the very rows that were trained on."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="runs train with torch")

from quality.measured import PROXIES_FILE, key_of, measure, measured, of_suite
from quality.one_run import Setting, choice_of, pool_of
from quality.proxies import PROXIES, held_of, proxies_of, with_answers
from quality.sample import HELD, POOL, Sample
from quality.suites import read, suites
from quality.texts import Tokens

from smartx.engine import quantize
from smartx.errors import InputError

TASKS = ("ants", "bees", "cats", "dogs")
ROWS, KEPT = 50, 6  # of each task in the pool, and held


def made_sample() -> Sample:
    rng = np.random.default_rng(2)
    count = len(TASKS) * (ROWS + KEPT)
    task = np.repeat(np.arange(len(TASKS)), ROWS + KEPT)
    lengths, targets = rng.integers(8, 30, count), rng.integers(2, 6, count)
    return Sample(
        tokens=Tokens(
            rng.integers(0, 50, int(lengths.sum())).astype(np.int32),
            lengths,
            targets,
            np.ones(count, dtype=bool),
        ),
        tasks=[TASKS[number] for number in task.tolist()],
        templates=[f"t{row % 2}" for row in range(count)],
        parts=np.tile(np.repeat([POOL, HELD], [ROWS, KEPT]), len(TASKS)).astype(np.int8),
        of=np.full(count, -1),
        source=np.arange(count),
        vectors=quantize(rng.normal(size=(4, 12))[task] + rng.normal(size=(count, 12))),
        families={name: name for name in TASKS},
        folds={"ants": 0, "bees": 0, "cats": 1, "dogs": 1},
        opening=(0, 1),
        facts={},
        whole=np.stack([lengths, targets], axis=1),
    )


SAMPLE = made_sample()
SETTINGS = [
    Setting("t0", arm, fold, seed, tokens=800)
    for seed in (0, 1)
    for arm in ("random a", "equal, balanced")
    for fold in (0, 1)
]


def line_of(setting: Setting) -> dict:
    held = {name: [1.0, 2, 1.0, 1, 0, 0] for name in TASKS if SAMPLE.folds[name] == setting.fold}
    chosen = trained = None
    if setting.arm != "untuned":
        chosen, trained = choice_of(setting, pool_of(SAMPLE, setting)).facts(), {"steps": 1}
    return {
        "setting": asdict(setting),
        "sample": "one",
        "chosen": chosen,
        "trained": trained,
        "evaluated": {"held": held},
        "machine": {},
    }


@pytest.fixture
def folder(tmp_path):
    lines = [line_of(setting) for setting in SETTINGS]
    lines.append(line_of(Setting("t0", "untuned", 0, 0, tokens=800)))
    (tmp_path / "runs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = {"families": SAMPLE.families, "folds": SAMPLE.folds}
    (tmp_path / "sample.json").write_text(json.dumps(told))
    return tmp_path


def test_every_choice_is_measured_once_and_as_it_was(folder):
    assert list(measure(folder, SAMPLE))[-1] == (8, 8)
    once = (folder / PROXIES_FILE).read_bytes()
    assert list(measure(folder, SAMPLE)) == []
    assert (folder / PROXIES_FILE).read_bytes() == once
    setting = SETTINGS[-1]
    pool = with_answers(pool_of(SAMPLE, setting), SAMPLE)
    plain = proxies_of(choice_of(setting, pool), pool, held_of(SAMPLE, setting.fold))
    found = measured(folder)[key_of(asdict(setting))]
    assert found == pytest.approx(plain, abs=1e-6)
    assert found.keys() == PROXIES.keys()


def test_a_line_that_was_under_way_is_measured_again(folder):
    list(measure(folder, SAMPLE))
    path = folder / PROXIES_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert len(measured(folder)) == 7
    assert list(measure(folder, SAMPLE)) == [(1, 1)]
    assert path.read_bytes() == whole


def test_settings_of_training_share_a_choice_and_others_do_not(folder):
    one = asdict(SETTINGS[0])
    assert key_of(one) == key_of({**one, "blocks": 8, "rate": 1.0})
    for name, value in {"tokens": 1, "matched": "response", "share": 0.5, "seed": 9}.items():
        assert key_of(one) != key_of({**one, name: value})
    list(measure(folder, SAMPLE))
    (suite,) = suites(*read(folder))
    found = of_suite(folder, suite)
    assert found.keys() == {(s.arm, s.fold, s.seed) for s in SETTINGS}
    assert found["random a", 1, 1] == measured(folder)[key_of(asdict(SETTINGS[5]))]


def test_a_choice_that_is_another_now_is_refused(folder):
    other = replace(SAMPLE, vectors=SAMPLE.vectors[::-1])
    with pytest.raises(InputError, match="arm equal, balanced, fold 0, seed 0"):
        list(measure(folder, other))
    assert len(measured(folder)) == 1  # random rows look at no vectors
