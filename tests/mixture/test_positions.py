"""Each row of a mixture says where it stood in the sources: also behind rows that were dropped."""

import json

import pyarrow.parquet as pq

import smartx


def test_the_index_of_a_row_leads_back_to_it_in_the_sources(small_corpus, tmp_path):
    more = tmp_path / "more.jsonl"
    lines = [{"inputs": f"more {i}", "targets": "yes", "task_name": "extra"} for i in range(30)]
    more.write_text("".join(json.dumps(line) + "\n" for line in lines))
    sent = [json.loads(line) for line in small_corpus.file.read_text().splitlines()] + lines
    mixed = smartx.run(
        {
            "sources": [str(small_corpus.file), str(more)],
            "preset": "equal",
            "rows": 600,
            "epochs": 3,
            "out": tmp_path / "mix",
        }
    )
    table = pq.read_table(mixed.folder / "data").to_pylist()
    assert len({row["smartx_index"] for row in table}) < len(table) == 600  # some come again
    assert {row["prompt"] for row in table} >= {"more 0", "more 29"}
    for row in table:
        source = sent[row["smartx_index"]]
        assert (row["prompt"], row["completion"]) == (source["inputs"], source["targets"])
