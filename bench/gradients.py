"""Gradients of rows by a real model: which way is fastest, and what a sketch of them loses.

    python bench/gradients.py --model SmolLM2-135M --rows rows.jsonl

Prints, for the first rows of the file: processor seconds a row of three ways to single rows'
gradients, and how far cosines of sketches are from those of the gradients themselves.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from scipy.stats import spearmanr

from smartx.causal import Tokens, batches_of, load_causal, rows_of, tokens_of
from smartx.collect.gradients.adam import Moments, precondition
from smartx.collect.gradients.asked import Lora
from smartx.collect.gradients.lora import Adapted, adapted
from smartx.collect.gradients.sketch import Sketch
from smartx.collect.gradients.warm_up import TOKENS
from smartx.corpus import ingest


def in_batches(model: Adapted, rows: list[Tokens]) -> torch.Tensor:
    """One backward pass a batch, outer products summed for each row: what smartx does."""
    made = torch.empty((len(rows), model.parameters))
    for places in batches_of(np.array([len(row) for row in rows]), TOKENS):
        made[torch.from_numpy(places)] = model.gradients([rows[place] for place in places])
    return made


def one_by_one(model: Adapted, rows: list[Tokens]) -> torch.Tensor:
    """A backward pass for each row."""
    return torch.cat([model.gradients([row]) for row in rows])


def by_vmap(model: Adapted, rows: list[Tokens]) -> torch.Tensor:
    """torch.func: vmap over grad of the loss of one row, padded to one length."""
    names = {id(module.weight): name for name, module in _named(model)}
    weights = {names[id(module.weight)]: module.weight.detach() for module, _, _ in model.places}
    longest = max(map(len, rows))
    ids = torch.zeros((len(rows), longest), dtype=torch.long)
    labels = torch.full((len(rows), longest), -100)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row.ids)
        labels[place, row.response_from : len(row)] = ids[place, row.response_from : len(row)]

    def loss(own: dict, one: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        call = {"input_ids": one[None], "labels": asked[None], "use_cache": False}
        return torch.func.functional_call(model.model.model, own, (), call).loss

    found = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(weights, ids, labels)
    return torch.cat([found[name].flatten(1) for name in weights], dim=1)


def _named(model: Adapted) -> list[tuple[str, torch.nn.Module]]:
    places = {id(module) for module, _, _ in model.places}
    found = model.model.model.named_modules()
    return [(f"{name}.weight", module) for name, module in found if id(module) in places]


def timed(name: str, way: Callable, model: Adapted, rows: list[Tokens]) -> torch.Tensor | None:
    """Say what a way takes; None where it cannot be done."""
    began = time.process_time()
    try:
        made = way(model, rows)
    except Exception as problem:  # torch.func takes not every model
        print(f"{name}: not possible ({str(problem).splitlines()[0][:90]})", flush=True)
        return None
    seconds = time.process_time() - began
    tokens = sum(map(len, rows))
    print(
        f"{name}: {seconds / len(rows):.3f} s a row, {1e3 * seconds / tokens:.1f} ms a token",
        flush=True,
    )
    return made


def losses_of_sketches(gradients: torch.Tensor, dimensions: list[int]) -> None:
    """Cosines of the first half of the rows with the second, sketched and exact."""

    def cosines(rows: torch.Tensor) -> np.ndarray:
        unit = rows.double()
        unit = unit / unit.norm(dim=1, keepdim=True)
        half = len(unit) // 2
        return (unit[:half] @ unit[half:].T).numpy()

    exact = cosines(gradients)
    print(f"exact cosines: {exact.min():.3f} to {exact.max():.3f}, deviation {exact.std():.3f}")
    for width in dimensions:
        made = cosines(Sketch(width, 0).of(gradients))
        error, largest = np.sqrt(np.mean((made - exact) ** 2)), np.abs(made - exact).max()
        order = np.mean([spearmanr(a, b)[0] for a, b in zip(made.T, exact.T, strict=True)])
        print(
            f"{width:>6,} dimensions: error {error:.4f} (1/sqrt(d) {width**-0.5:.4f}), largest "
            f"{largest:.4f}, rank correlation {order:.3f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--few", type=int, default=16, help="rows of the slower ways")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[512, 1024, 2048, 8192])
    parser.add_argument("--warm-up", type=Path, help="epoch-NN.safetensors, with the same rank")
    parser.add_argument("--steps", type=int, default=13, help="that were made until then")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model = adapted(load_causal(asked.model, device="cpu"), Lora(asked.rank), 0)
    with TemporaryDirectory() as folder:
        corpus = ingest([asked.rows], Path(folder) / "corpus", other_columns=False)
        every = np.linspace(0, corpus.num_rows - 1, asked.count).astype(int).tolist()
        own = [rows_of(corpus, row, row + 1)[0] for row in every]
    rows = tokens_of(model.model, own, asked.max_length)
    length = np.mean([len(row) for row in rows])
    print(f"{len(rows)} rows of {length:.0f} tokens, {model.parameters:,} weights", flush=True)
    state = None
    if asked.warm_up:
        from safetensors.torch import load_file

        state = load_file(asked.warm_up)
        model.load(state["weights"])
    else:
        torch.manual_seed(0)
        model.load(torch.randn(model.parameters) * 0.02)
    made = timed("in batches", in_batches, model, rows)
    few = rows[: asked.few]
    again = timed("one by one", one_by_one, model, few)
    other = timed("vmap", by_vmap, model, few)
    for name, found in {"one by one": again, "vmap": other}.items():
        if found is not None:
            worst = ((found - made[: len(few)]).norm(dim=1) / found.norm(dim=1)).max()
            print(f"{name}: differs from batches by at most {worst:.1e} of a row's length")
    print("plain gradients")
    losses_of_sketches(made, asked.dimensions)
    if state:
        precondition(made, Moments(state["first"], state["second"], asked.steps), "paper")
        print("as Adam takes them")
        losses_of_sketches(made, asked.dimensions)


if __name__ == "__main__":
    main()
