"""A tokenizer of T5's form (a unigram model over pieces, `▁` for a space, no start, an end) in one `tokenizer.json`."""

import json
from pathlib import Path

import tiny_tokenizer
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

PAD, END, UNK = "<pad>", "</s>", "<unk>"


def write(folder: Path, size: int = 320) -> None:
    """`tokenizer.json` and `tokenizer_config.json` as an exported pipeline has them."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=[PAD, END, UNK], unk_token=UNK, show_progress=False,
    )
    tokenizer.train_from_iterator(list(tiny_tokenizer.WORDS.values()), trainer)
    end = tokenizer.token_to_id(END)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", pair=f"$A {END} $B {END}", special_tokens=[(END, end)],
    )
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {
        "eos_token": END, "pad_token": PAD, "unk_token": UNK, "model_max_length": 512, "tokenizer_class": "T5TokenizerFast",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
