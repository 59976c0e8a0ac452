"""README.md of an export: what is in it, and what to do with it; the Hub shows it as a card."""

from __future__ import annotations

from smartx.exports.format import Format, Job
from smartx.progress import counted


def readme(job: Job, kind: Format) -> str:
    """Of a job whose rows are written."""
    return _TEXT.format(
        rows=counted(sum(job.written.values()), "row"),
        name=kind.name,
        holds=kind.holds,
        splits="\n".join(f"- {split}: {job.written[split]:,} rows" for split in job.splits),
        use=kind.use.format(home="HERE"),
        weight=kind.weight,
        proven=kind.proven,
        left=_left(job),
    )


def _left(job: Job) -> str:
    """What is not in it, and what is not whole."""
    lines = [
        f"- left out, no place for it: {rows:,} rows with {why}"
        for why, rows in job.misfits.most_common()
    ]
    lines += [
        f"- the trainer leaves out or changes: {rows:,} rows with {why}"
        for why, rows in job.lost.most_common()
    ]
    return "\n" + "\n".join(lines) + "\n" if lines else ""


_TEXT = """\
---
task_categories: [text-generation]
tags: [smartx, data-mixture, instruction-tuning]
---

# {rows} for fine-tuning, as {name} takes them

{holds}.

{splits}
{left}
- how: `{use}` (HERE is this folder)
- weights: {weight}
- {proven}

The rows are those of a mixture made by smartx, and keep the licences of the sources they come
from.
"""
