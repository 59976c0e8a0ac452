"""The encoder of vectors that are there, to embed more texts as those were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smartx.config_file import split_encoder
from smartx.embed.encoders import EncoderSpec, local_folder
from smartx.embed.student import StudentSpec
from smartx.errors import ConfigError


def encoder_again(
    parameters: Mapping[str, Any], *, batch_size: int | None = None, threads: int | None = None
) -> EncoderSpec | StudentSpec:
    """The encoder, or the student, that made vectors. parameters: of their manifest.

    Raises ConfigError for a folder: a manifest says what it is called, not where it is.
    """
    name = split_encoder(str(parameters["encoder"]))[1]
    asked = parameters.get("teacher", parameters)
    if asked["revision"] is None and local_folder(name) is None:
        raise ConfigError(
            f"more texts are to be embedded as the rows were, by {parameters['encoder']}, and "
            "nothing says in which folder that is",
            place="encoder",
            fix="give `encoder` and its options as they were when the rows were embedded",
        )
    encoder = EncoderSpec(
        name,
        revision=asked["revision"],
        max_length=asked["max_length"],
        prompt_prefix=asked["prompt_prefix"],
        turns=asked["turns"],
        dtype=asked.get("dtype", "auto"),
        device="cpu" if asked.get("device") == "cpu" else "auto",
        batch_size=batch_size,
        threads=threads,
    )
    return StudentSpec(encoder, parameters["rows"]) if "teacher" in parameters else encoder
