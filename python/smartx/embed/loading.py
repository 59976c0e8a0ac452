"""Which loader an encoder wants, and on what it runs."""

from __future__ import annotations

from contextlib import AbstractContextManager

from smartx.embed.devices import devices_of
from smartx.embed.encoders import Encoder, EncoderSpec, encoder_folder, is_static
from smartx.progress import Progress


def loaded(spec: EncoderSpec, progress: Progress) -> AbstractContextManager[Encoder]:
    """The encoder that `spec` asks for, ready to encode inside the block, fetched where need be.

    Raises MissingPackageError without its libraries, EncoderError where loading fails.
    """
    encoder_folder(spec, fetch=True)
    if is_static(spec):
        from smartx.embed.static import loaded as static

        return static(spec, progress)
    from smartx.embed.sentence_transformer import loaded as transformer

    return transformer(spec, progress)


def devices_for(spec: EncoderSpec) -> tuple[str, ...]:
    """The devices it runs on: for a static encoder the CPU, whatever there is and is asked for."""
    return ("cpu",) if is_static(spec) else devices_of(spec.device)
