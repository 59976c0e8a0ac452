"""Online mixing inside of real trainers: who draws, what is heard, and what a resumed run does."""

from __future__ import annotations

import json

import numpy as np
import pytest

from conftest import REPOSITORY
from made_mixtures import PAIRS, mixture_of
from page_blocks import blocks_of
from small_causal import causal_folder
from smartx.errors import InputError
from smartx.online import OnlineMixing, mixing_of

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")
pytest.importorskip("accelerate")

from smartx.online.trainer import (  # noqa: E402
    KEPT,
    OnlineMixingCallback,
    online,
    row_losses,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # of the packages that load and train
NAMES = ("hard", "easy")


def rows(count=24):
    """Tasks of two kinds: `easy` repeats one token, `hard` is all kinds of bytes."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        hard = number % 3 == 0
        ids = rng.integers(0, 256, 12 + number % 4) if hard else np.full(10 + number % 3, 65)
        labels = np.where(np.arange(len(ids)) < 3, -100, ids)
        task = NAMES[0 if hard else 1]
        found.append({"input_ids": ids.tolist(), "labels": labels.tolist(), "task": task})
    return datasets.Dataset.from_list(found)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return causal_folder(tmp_path_factory.mktemp("model"))


def trainer_of(model_folder, out, mixing, **options):
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder)
    where = {"output_dir": str(out), "use_cpu": True, "report_to": [], "seed": 0}
    where["disable_tqdm"] = True
    settings = {"per_device_train_batch_size": 2, "learning_rate": 1e-2, "max_steps": 12}
    arguments = transformers.TrainingArguments(
        **where, **{**settings, "logging_steps": 1, "save_strategy": "no", **options}
    )
    return online(transformers.Trainer)(
        model=transformers.AutoModelForCausalLM.from_pretrained(model_folder),
        args=arguments,
        train_dataset=rows(),
        data_collator=transformers.DataCollatorForSeq2Seq(tokenizer),
        callbacks=[OnlineMixingCallback(mixing)],
    )


class Steps(transformers.TrainerCallback):
    """What the policy knew at each step."""

    def __init__(self, mixing):
        self.mixing, self.seen = mixing, []

    def on_step_end(self, args, state, control, **kwargs):
        self.seen.append((self.mixing.turn, self.mixing.rewards.copy()))


def weights(trainer):
    return torch.cat([w.detach().flatten() for w in trainer.model.parameters()])


def test_losses_of_rows_are_those_of_a_plain_loop(model_folder):
    model = transformers.AutoModelForCausalLM.from_pretrained(model_folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder)
    some = rows().remove_columns("task").select(range(6))
    batch = transformers.DataCollatorForSeq2Seq(tokenizer)(list(some))
    with torch.no_grad():
        losses, tokens = row_losses(model(**batch), batch["labels"])
        for row, loss, count in zip(some, losses, tokens, strict=True):
            one = {name: torch.tensor([row[name]]) for name in ("input_ids", "labels")}
            learned = sum(label != -100 for label in row["labels"][1:])
            assert int(count) == learned
            assert float(loss) / learned == pytest.approx(float(model(**one).loss), rel=1e-5)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_step_is_a_turn_and_rewards_are_the_mean_losses_of_its_rows(
    model_folder, tmp_path, accumulation
):
    """The model does not learn (rate 0), so that what was heard can be computed again."""
    mixing = OnlineMixing(NAMES, seed=0)
    options = {"learning_rate": 0.0, "gradient_accumulation_steps": accumulation, "max_steps": 8}
    trainer = trainer_of(model_folder, tmp_path, mixing, **options)
    steps = Steps(mixing)
    trainer.add_callback(steps)
    trainer.train()
    assert [turn for turn, _ in steps.seen] == list(range(1, 9))
    again = OnlineMixing(NAMES, seed=0, lag=mixing.lag)
    batches = OnlineMixingCallback(again).draw(
        trainer.train_dataset, batch_rows=2, processes=1, args=trainer.args
    )
    model, drawn = trainer.model.eval(), iter(batches)
    for _, rewards in steps.seen:
        sums, tokens = np.zeros(2), np.zeros(2)
        for _ in range(accumulation):
            for place in next(drawn, None) or next(drawn := iter(batches)):
                row = trainer.train_dataset[place]
                one = {name: torch.tensor([row[name]]) for name in ("input_ids", "labels")}
                with torch.no_grad():
                    loss, count = row_losses(model(**one), one["labels"])
                task = NAMES.index(row["task"])
                sums[task] += float(loss[0])
                tokens[task] += int(count[0])
        again.update_all({t: sums[t] / tokens[t] for t in range(2) if tokens[t]})
        assert rewards == pytest.approx(again.rewards, rel=1e-4)


def test_the_harder_task_gets_more_of_the_rows(model_folder, tmp_path):
    mixing = OnlineMixing(NAMES, seed=0)
    trainer = trainer_of(model_folder, tmp_path, mixing, max_steps=40)
    trainer.train()
    assert sum(trainer.state.stateful_callbacks[KEPT]["taken"]) == 80
    assert mixing.probs()[0] > 0.54
    assert trainer.state.log_history[0]["effective_tasks"] == pytest.approx(2.0, abs=1e-3)
    assert trainer.state.log_history[-2]["effective_tasks"] < 1.995


@pytest.mark.parametrize(
    ("workers", "accumulation", "ignore"),
    [
        (0, 1, False),
        (0, 2, True),
        pytest.param(2, 1, False, marks=pytest.mark.processes),
    ],
)
def test_resumed_from_a_checkpoint_is_uninterrupted(
    model_folder, tmp_path, workers, accumulation, ignore
):
    options = {
        "save_strategy": "steps", "save_steps": 5, "dataloader_num_workers": workers,
        "gradient_accumulation_steps": accumulation, "max_steps": 22, "ignore_data_skip": ignore,
    }  # fmt: skip
    whole_mixing, mixing = OnlineMixing(NAMES, seed=3), OnlineMixing(NAMES, seed=3)
    whole = trainer_of(model_folder, tmp_path / "whole", whole_mixing, **options)
    whole.train()
    resumed = trainer_of(model_folder, tmp_path / "resumed", mixing, **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-15"))
    assert mixing.state() == whole_mixing.state()
    assert torch.equal(weights(resumed), weights(whole))
    kept = json.loads((tmp_path / "whole" / "checkpoint-15" / "trainer_state.json").read_text())
    assert kept["stateful_callbacks"][KEPT]["policy"]["turn"] == 15


def test_trained_twice_it_begins_anew(model_folder, tmp_path):
    mixing = OnlineMixing(NAMES, seed=3)
    trainer = trainer_of(model_folder, tmp_path, mixing, max_steps=3, learning_rate=0.0)
    trainer.train()
    first = mixing.state()
    trainer.train()
    assert mixing.state() == first


def test_a_checkpoint_made_without_it_is_refused(model_folder, tmp_path):
    options = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    trainer = trainer_of(model_folder, tmp_path, OnlineMixing(NAMES, seed=0), **options)
    trainer.train()
    path = tmp_path / "checkpoint-2" / "trainer_state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "stateful_callbacks": {}}))
    again = trainer_of(model_folder, tmp_path, OnlineMixing(NAMES, seed=0), **options)
    with pytest.raises(InputError, match="without online mixing"):
        again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))


def test_rows_whose_tasks_are_not_known_are_refused(model_folder, tmp_path):
    trainer = trainer_of(model_folder, tmp_path, OnlineMixing(NAMES, seed=0))
    trainer.train_dataset = rows().remove_columns("task")
    with pytest.raises(InputError, match="no column `task`"):
        trainer.train()
    trainer.pop_callback(OnlineMixingCallback)
    with pytest.raises(InputError, match="0 callbacks"):
        trainer.train()


def sft(model_folder, folder, mixing, mixture, **options):
    trl = pytest.importorskip("trl")
    arguments = trl.SFTConfig(
        output_dir=str(folder), use_cpu=True, bf16=False, report_to=[], max_steps=6,
        disable_tqdm=True,
        per_device_train_batch_size=2, save_strategy="no", **options,
    )  # fmt: skip
    loaded = datasets.load_dataset("parquet", data_dir=str(mixture.folder / "data"), split="train")
    return online(trl.SFTTrainer)(
        model=str(model_folder),
        args=arguments,
        train_dataset=loaded,
        callbacks=[OnlineMixingCallback(mixing)],
    )


def test_trl_trains_a_mixture_by_it(model_folder, tmp_path):
    """By its fused head, which gives no logits, from the folder that a mixture is."""
    mixture = mixture_of(PAIRS, tmp_path)
    mixing = mixing_of(mixture, seed=0)
    trainer = sft(model_folder, tmp_path / "out", mixing, mixture)
    trainer.train()
    assert mixing.turn == 6
    assert sum(trainer.state.stateful_callbacks[KEPT]["taken"]) == 12
    assert mixing.rewards.all()


def test_the_recipe_trains(model_folder, tmp_path, monkeypatch):
    """The block of docs/recipes/online_mixing.md, with a tiny model."""
    pytest.importorskip("trl")
    mixture_of(PAIRS, tmp_path)
    monkeypatch.chdir(tmp_path)
    page = REPOSITORY / "docs" / "recipes" / "online_mixing.md"
    (block,) = [one for one in blocks_of(page) if one.kind == "elsewhere"]
    more = 'output_dir="tuned", use_cpu=True, bf16=False, report_to=[], max_steps=2, '
    source = block.source.replace("Qwen/Qwen3-0.6B", str(model_folder))
    names = {}
    exec(source.replace('output_dir="tuned", ', more), names)
    assert names["trainer"].state.global_step == 2
    assert (tmp_path / "tuned" / "checkpoint-2" / "trainer_state.json").exists()


def test_packed_rows_are_refused(model_folder, tmp_path):
    mixture = mixture_of(PAIRS, tmp_path)
    trainer = sft(
        model_folder, tmp_path / "out", mixing_of(mixture, seed=0), mixture,
        packing=True, max_length=64,
    )  # fmt: skip
    with pytest.raises(InputError, match="packing"):
        trainer.train()
