"""A causal model of a few thousand weights in a folder, with a tokenizer of single bytes."""

from __future__ import annotations

from pathlib import Path

TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def byte_tokenizer(template: str | None):
    """A tokenizer of transformers, of single bytes, with a chat template."""
    import tokenizers
    import transformers

    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: number for number, character in enumerate(alphabet)}
    plain = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = tokenizers.decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, eos_token="<end>", pad_token="<pad>"
    )
    tokenizer.chat_template = template
    return tokenizer


def causal_folder(
    folder: Path, *, seed: int = 0, template: str | None = TEMPLATE, dropout: float = 0.0
) -> Path:
    """As save_pretrained writes it: a decoder of two blocks with random weights.

    dropout: inside attention, so that training draws numbers.
    """
    import torch
    import transformers

    tokenizer = byte_tokenizer(template)
    shape = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        attention_dropout=dropout,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    transformers.LlamaForCausalLM(shape).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def asked_folder(folder: Path, *, seed: int = 0, positions: int = 520) -> Path:
    """A model that can be asked yes or no, of larger weights, so that a wrong place shows.

    positions: for the question of Ask-LLM alone, which is 470 bytes.
    """
    import torch
    import transformers

    causal_folder(folder, seed=seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["yes", "Yes"])
    tokenizer.save_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.config.max_position_embeddings = positions
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.normal_(0.0, 0.3)
    model.save_pretrained(folder)
    return folder
