"""Which instruction set the core uses: the best of this processor, or that of SMARTX_SIMD."""

from __future__ import annotations

from smartx import _core
from smartx.errors import InputError


def simd_level() -> str:
    """The instruction set in use. The results are the same with each; "amx" and "i8mm", which
    nobody has timed, are used only where SMARTX_SIMD names them and the processor has them.

    Raises InputError where SMARTX_SIMD names none that this processor runs.
    """
    try:
        return _core.simd_level()
    except ValueError as problem:
        raise InputError(
            str(problem).removeprefix("SMARTX_SIMD: "),
            place="SMARTX_SIMD",
            fix="unset the variable, or name one of these",
        ) from None
