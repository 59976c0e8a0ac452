"""The results of flan_shape.py as Markdown."""

from __future__ import annotations

from typing import Any

from tables import markdown, megabytes, seconds


def page(results: list[dict[str, Any]]) -> str:
    return "\n\n".join("\n".join(_lines(result)) for result in results)


def _lines(result: dict[str, Any]) -> list[str]:
    spec, shape = result["spec"], result["shape"]
    body = []
    for row in result["stages"].values():
        memory = row.get("memory_all", row["memory"])
        body.append(
            [
                row["stage"] + (" (resumed)" if row["resumed"] else ""),
                seconds(row["wall"]), seconds(row["cpu"]), megabytes(memory),
                megabytes(row["disk"]) if row["disk"] else "-", megabytes(row["disk_peak"]),
                f"{shape['rows'] / row['wall']:,.0f}", f"{row['load'][0]} to {row['load'][1]}",
            ]
        )  # fmt: skip
        body += _student(row)
    body.append(_sum(result["stages"]))
    head = ("stage", "wall", "CPU", "peak memory", "disk", "folder at most", "rows/s", "load")
    faults = result.get("faults")
    verdict = "not checked yet" if faults is None else "; ".join(faults) or "all as it should be"
    return [
        f"### {_name(spec)}, {_vectors(result)}",
        "",
        f"{shape['rows']:,} rows, {shape['tasks']:,} tasks, {shape['groups']:,} groups, the "
        f"largest of {shape['largest_group']:,} rows; {shape['pairs']:.3g} pairs inside groups. "
        f"Rows read back and counted: {verdict}.",
        "",
        *markdown(head, body),
    ]


def _sum(stages: dict[str, Any]) -> list[str]:
    """All that smartx did: the texts, and vectors that are made for them, are the bench's own."""
    rows = [row for name, row in stages.items() if name not in ("texts", "vectors")]
    memory = max((row.get("memory_all", row["memory"]) for row in rows), default=0)
    wall, cpu = (sum(row[name] for row in rows) for name in ("wall", "cpu"))
    return ["**all by smartx**", seconds(wall), seconds(cpu), megabytes(memory), *["-"] * 4]


def _student(row: dict[str, Any]) -> list[list[str]]:
    """What of embedding went into the student, and what into embedding by it."""
    fits = [step for step in row.get("steps", ()) if step["line"].startswith("fit the student")]
    if not fits:
        return []
    wall, cpu = fits[-1]["wall"], fits[-1]["cpu"]
    none = ["-"] * 3
    return [
        ["- teacher's sample, fit", seconds(wall), seconds(cpu), *none, "-", "-"],
        ["- all rows by the student", seconds(row["wall"] - wall), seconds(row["cpu"] - cpu),
         *none, "-", "-"],
    ]  # fmt: skip


def _vectors(result: dict[str, Any]) -> str:
    encoder = result.get("encoder")
    return f"real texts, {encoder}" if encoder else f"d = {result['spec']['dimensions']}"


def _name(spec: dict[str, Any]) -> str:
    if spec["shape"] == "flan":
        part = "whole groups" if spec["keep"] == "groups" else "all tasks, smaller groups"
        return "FLAN 2022" + (
            f", {spec['fraction']:g} of it ({part})" if spec["fraction"] < 1 else ""
        )
    return {"tiny-tasks": "Tasks of 1 to 50 rows", "one-group": "One group"}[spec["shape"]]
