"""Weights of a model laid out once for the processor's products, not again in every call.

Products in bfloat16 are the same to the bit (measured, torch 2.13, layers of MiniLM, 1 to 2,048
rows) and take 4 to 13 % less time. In float32 they would be another library's, with other last
bits: left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def pack(model: Any, probe: Callable[[], Any]) -> None:
    """Pack the linear layers in bfloat16, if the model gives the same bits then.

    probe: calls the model on some input and returns a tensor.  Its weights are replaced, on a CPU.
    """
    import torch

    layers = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is torch.nn.Linear and child.weight.dtype == torch.bfloat16
    ]
    if not layers:
        return
    before = probe()
    try:
        made = _packed_linear(torch)
        with torch.inference_mode():
            for parent, name, child in layers:
                setattr(parent, name, made(child))
        same = torch.equal(probe(), before)
    except (RuntimeError, AttributeError, TypeError):  # of a torch or a processor without it
        same = False
    if not same:
        for parent, name, child in layers:
            setattr(parent, name, child)


def _packed_linear(torch: Any) -> Any:
    class Packed(torch.nn.Module):  # type: ignore[misc]
        """As torch.nn.Linear, for inference."""

        def __init__(self, linear: Any) -> None:
            super().__init__()
            self.in_features, self.out_features = linear.in_features, linear.out_features
            weight, self.bias = linear.weight.detach(), linear.bias
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight, None)

        def forward(self, rows: Any) -> Any:
            """(..., in) -> (..., out)."""
            return torch.ops.mkldnn._linear_pointwise(rows, self.packed, self.bias, "none", [], "")

        def __deepcopy__(self, memo: Any) -> Any:
            return self  # nothing in it changes: threads share it

    return Packed
