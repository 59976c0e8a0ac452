"""Croissant: what the columns of an export's files are, for machines that look for data sets."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from smartx.exports.format import Format, Job
from smartx.exports.writing import PARQUET, parquet, write_json
from smartx.files import file_digest

# The terms of Croissant 1.0, as its specification gives them for every description.
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def _write(job: Job) -> None:
    parquet(job, lambda table: table)
    columns = {
        field.name: kind for field in job.rows.schema if (kind := _kind(field.type)) is not None
    }
    description = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "smartx-mixture",
        "description": f"A fine-tuning mixture of {len(job.rows):,} rows, chosen by smartx. The "
        "rows keep the licences of the sources they come from.",
        "version": "1.0.0",
        "distribution": [_file(job, split) for split in job.splits],
        "recordSet": [_records(split, columns) for split in job.splits],
    }
    write_json(job, "croissant.json", description)


def _file(job: Job, split: str) -> dict[str, Any]:
    path = job.folder / PARQUET[split]
    return {
        "@type": "cr:FileObject",
        "@id": f"{split}.parquet",
        "name": f"{split}.parquet",
        "contentUrl": PARQUET[split],
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": file_digest(path),
    }


def _records(split: str, columns: dict[str, str]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{split}/{name}",
                "name": name,
                "dataType": kind,
                "source": {
                    "fileObject": {"@id": f"{split}.parquet"},
                    "extract": {"column": name},
                },
            }
            for name, kind in columns.items()
        ],
    }


def _kind(kind: pa.DataType) -> str | None:
    """The type of a column in Croissant; None for what holds others (turns, lists)."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "sc:Text"
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else None


FORMAT = Format(
    name="croissant",
    holds="Parquet with every column, croissant.json that describes them (turns apart)",
    weight="it knows none",
    use="mlcroissant.Dataset('{home}/croissant.json')",
    proven="read by mlcroissant",
    write=_write,
)
