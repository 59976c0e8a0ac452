"""What goes on inside a model while it answers, without keeping what nobody reads."""

from __future__ import annotations

import threading
from typing import Any

from smartx.causal import CausalModel
from smartx.errors import ModelError


class Watch:
    """Keeps, for each thread, the last hidden states and the last layer's attention of its batch.

    transformers hands out those of all layers, or none; here all but the last are forgotten at
    once.
    """

    def __init__(self, model: CausalModel, *, hidden: bool, attention: bool) -> None:
        """attention: the model must have been loaded with attention "eager"."""
        self._local = threading.local()
        self._hooks = []
        if hidden:
            self._hooks.append(model.model.base_model.register_forward_hook(self._see_hidden))
        if attention:
            layers = [one for one in model.model.modules() if _is_attention(one)]
            if not layers:
                raise ModelError(
                    "no layer of it gives attention weights",
                    place=str(model.folder),
                    fix="ask for other scores, or of another model",
                )
            self._hooks.append(layers[-1].register_forward_hook(self._see_attention))

    @property
    def hidden(self) -> Any:
        """(rows, tokens, width) of the last layer, after its norm."""
        return self._local.hidden

    @property
    def attention(self) -> Any:
        """(rows, heads, tokens that look, tokens that are looked at) of the last layer."""
        return self._local.attention

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _see_hidden(self, _module: Any, _given: Any, output: Any) -> None:
        self._local.hidden = output[0]

    def _see_attention(self, _module: Any, _given: Any, output: Any) -> None:
        self._local.attention = output[1]


def _is_attention(module: Any) -> bool:
    return type(module).__name__.endswith("Attention")
