"""Small tokenizers of each kind, and static encoders made of them, for tests of tokens."""

from __future__ import annotations

import json
import string
from pathlib import Path

import numpy as np

_TEXT = (
    "the of and to in is you that it he was for on are as with his they at be this have from or "
    "one had by word but not what all were we when your can said there use an each which she do "
    "how their if will up other about out many then them these so some her would make like him "
    "into time has look two more write go see number no way could people my than first water been"
)
WORDS = _TEXT.split()
LETTERS = string.ascii_lowercase + string.digits + string.punctuation + "αβγжé’中"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def bert_file(folder: Path, *, letters: str = LETTERS, own: tuple[str, ...] = ()) -> Path:
    """A tokenizer.json of BERT's kind: letters, letters inside of words, and words, or `own`."""
    import tokenizers
    from tokenizers import models, normalizers, pre_tokenizers

    inside = [f"##{letter}" for letter in letters]
    words = own or ("##ing", "##ed", "##s", *WORDS)
    tokens = dict.fromkeys([*SPECIAL, *letters, *inside, *words])
    vocabulary = {token: number for number, token in enumerate(tokens)}
    made = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens(list(SPECIAL))
    return saved(made, folder)


def byte_level_file(folder: Path) -> Path:
    """A tokenizer.json of GPT-2's kind, learnt from a few words."""
    import tokenizers
    from tokenizers import models, pre_tokenizers, trainers

    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator([_TEXT] * 3, trainer)
    return saved(made, folder)


def unigram_file(folder: Path) -> Path:
    """A tokenizer.json of T5's kind, learnt from a few words."""
    import tokenizers
    from tokenizers import models, normalizers, pre_tokenizers, trainers

    made = tokenizers.Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False
    )
    made.train_from_iterator([_TEXT] * 3, trainer)
    return saved(made, folder)


def saved(tokenizer: object, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def model2vec_folder(
    folder: Path,
    *,
    width: int = 24,
    weights: bool = False,
    mapping: bool = False,
    dtype: str = "float32",
    **config: object,
) -> Path:
    """A folder as model2vec saves it, with numbers drawn by chance."""
    from safetensors.numpy import save_file

    tokens = _vocabulary_size(bert_file(folder))
    rng = np.random.default_rng(7)
    rows = tokens // 3 if mapping else tokens
    scale = 40 if dtype == "int8" else 1
    tensors = {"embeddings": (rng.normal(size=(rows, width)) * scale).astype(dtype)}
    if mapping:
        tensors["mapping"] = rng.integers(0, rows, tokens)
    if weights:
        tensors["weights"] = rng.uniform(0.1, 2, tokens)
    save_file(tensors, folder / "model.safetensors")
    kind = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True}
    (folder / "config.json").write_text(json.dumps({**kind, **config}))
    return folder


def static_folder(folder: Path, *, prompt: str = "", truncated: int | None = None) -> Path:
    """A folder as sentence-transformers saves one with a StaticEmbedding."""
    import tokenizers
    from safetensors.numpy import save_file

    path = bert_file(folder / "0_StaticEmbedding")
    if truncated:
        made = tokenizers.Tokenizer.from_file(str(path))
        made.enable_truncation(truncated)
        made.save(str(path))
    table = np.random.default_rng(8).normal(size=(_vocabulary_size(path), 20)).astype(np.float32)
    save_file({"embedding.weight": table}, path.parent / "model.safetensors")
    place = "sentence_transformers.models"
    modules = [
        {"idx": 0, "name": "0", "path": path.parent.name, "type": f"{place}.StaticEmbedding"},
        {"idx": 1, "name": "1", "path": "1_Normalize", "type": f"{place}.Normalize"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    prompts = {"prompts": {"own": prompt}, "default_prompt_name": "own"} if prompt else {}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    return folder


def _vocabulary_size(path: Path) -> int:
    return len(json.loads(path.read_bytes())["model"]["vocab"])
