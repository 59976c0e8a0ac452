"""A real step of TRL's trainer, on a model of a few bytes and a tokenizer of single bytes."""

from __future__ import annotations

from small_causal import byte_tokenizer

TEMPLATE = """\
{%- if tools %}{{ '<tools>' + (tools | tojson) + '\n' }}{%- endif %}
{%- for message in messages %}{{ '<' + message.role + '>' + message.content }}
{%- if message.tool_calls %}{%- for tool_call in message.tool_calls %}
{{- '<call>' + tool_call.function.name + (tool_call.function.arguments | tojson) }}
{%- endfor %}{%- endif %}{{ '<end>' }}{%- endfor %}
{%- if add_generation_prompt %}{{ '<assistant>' }}{%- endif %}"""


def train(trl, out, rows, **options):
    """What TRL makes of a data set: for each row its tokens as text, and those it learns.

    options: of SFTConfig.
    """
    import transformers

    tokenizer = byte_tokenizer(TEMPLATE)
    shape = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
    )
    where = {"output_dir": str(out), "use_cpu": True, "bf16": False}
    options = trl.SFTConfig(
        **where, max_steps=1, report_to=[], max_length=None, save_strategy="no", **options
    )
    model = transformers.LlamaForCausalLM(shape)
    trainer = trl.SFTTrainer(model, options, train_dataset=rows, processing_class=tokenizer)
    assert trainer.train().training_loss > 0
    return sorted(
        (
            tokenizer.decode(row["input_ids"]),
            tokenizer.decode([token for token in row["labels"] if token != -100]),
        )
        for row in trainer.train_dataset
    )
