"""The machine's own limits, and the similarities of smartx beside them."""

from __future__ import annotations

from case import Case, Row

from tables import markdown

TITLE = "The machine's limits"


def cases(quick: bool) -> list[Case]:
    return [Case("limits", "machine", "measure_limits.py", {"n": 4000 if quick else 10_000})]


def check(rows: list[Row]) -> list[str]:
    return []


def lines(rows: list[Row]) -> list[str]:
    found = [row["result"] for row in rows if "result" in row]
    if not found:
        return ["Not measured."]
    limits = found[-1]
    peaks = limits["peaks"]
    body = [
        [f"{name} multiply-add, from registers", f"{peak:,.0f} GOP/s", "-"]
        for name, peak in peaks.items()
        if name != "read"
    ]
    body += [
        [f"numpy float32 GEMM, d = {d}", f"{rate:,.0f} GOP/s", _share(rate, peaks, "float32")]
        for d, rate in limits["gemm"].items()
    ]
    for name, rate in limits["similarities"].items():
        level, d = name.split()
        peak = {"avx2": "int16 AVX2", "avx512": "int16 AVX-512"}.get(level, "")
        share = _share(rate, peaks, peak) if peak else "-"
        body.append([f"smartx similarities, {level}, d = {d}", f"{rate:,.0f} GOP/s", share])
    if "read" in peaks:
        body.append(["reading memory", f"{peaks['read']:.1f} GB/s", "-"])
    return [
        "One core, by its CPU time. An operation is one multiplication or one addition. smartx"
        " computes each pair of rows once, so its whole matrix takes half the operations of a"
        " GEMM; the figures count the operations that were done, packing and the search for the"
        " least similarity included.",
        "",
        *markdown(["what", "rate", "share of the peak"], body),
    ]


def _share(rate: float, peaks: dict[str, float], name: str) -> str:
    peak = next((value for key, value in peaks.items() if key.startswith(name)), 0)
    return f"{rate / peak:.0%}" if peak else "-"
