"""LLaMA-Factory: its own turns, and dataset_info.json that names them."""

from __future__ import annotations

import pyarrow as pa

from smartx.exports.format import VALIDATION, Format, Job
from smartx.exports.rows import message_columns, messages_of
from smartx.exports.writing import parquet, write_json
from smartx.mixture.chats import refusals, sharegpt
from smartx.mixture.trainers import llama_factory_entry

# A folder that it reads holds files of one kind and nothing else.
_FOLDERS = {"train": "train/train.parquet", VALIDATION: "validation/validation.parquet"}
_NAMES = {"train": "smartx_mixture", VALIDATION: "smartx_validation"}


def _write(job: Job) -> None:
    def columns(table: pa.Table) -> pa.Table:
        if not job.rows.chats:
            return table.select(["prompt", "completion"])
        messages = messages_of(table)
        called = job.rows.met["tools"] or job.rows.met["calls"]
        job.lost.update(refusals(messages, joined=called))
        if not called:
            return pa.table({"messages": messages})
        made, lost = sharegpt(messages)
        job.lost.update(lost)
        own = {"conversations": made}
        return pa.table(own | ({"tools": _texts(table)} if job.rows.tools else {}))

    parquet(job, columns, _FOLDERS, message_columns(job.rows))
    entry = llama_factory_entry(job.rows.met)
    info = {_NAMES[split]: {**entry, "file_name": split} for split in job.splits}
    write_json(job, "dataset_info.json", info)


def _texts(table: pa.Table) -> pa.Array:
    return pa.array(table["tools"].to_pylist(), pa.string())


FORMAT = Format(
    name="llama-factory",
    holds="Parquet of its own turns (calls and their results too), dataset_info.json",
    weight="`num_samples` would draw rows at random, again where there are fewer: none is needed",
    use="dataset_dir: {home}, dataset: smartx_mixture (eval_dataset: smartx_validation)",
    proven="read by its own parser and converters (0.9.5)",
    write=_write,
)
