"""A byte-level BPE vocabulary of CLIP's form from words written here, and 500 texts of many languages.

The vocabulary has the 256 bytes, the 256 bytes at the end of a word, merges that the trainer of `tokenizers` finds in
the words below, and CLIP's two special tokens: small, and like the published one in everything but its size.
"""

import json
import random
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

SEED = 20261128
START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"

WORDS = {
    "en": "a the photo of red cat on old bridge in winter light portrait very small garden with tall trees painting sunset over mountain river isn't we'll they've I'd it's you're",
    "de": "ein Bild der großen Straße über dem Fluss grüne Wälder Königin läuft schöne Häuser bei Nacht Füße Öl",
    "fr": "une photo d'un château près de la forêt été où l'élève garçon naïve façade cœur très belle lumière",
    "es": "una niña pequeña en la montaña el corazón rápido ¿dónde está el pingüino? año árbol canción",
    "pt": "uma fotografia da praia ao amanhecer coração maçã pão avião irmã você não está longe",
    "pl": "zdjęcie małej łodzi na rzece żółty liść źródło gęś ćma piękny świat dzień",
    "ru": "фотография красной кошки на старом мосту зимой свет портрет очень маленький сад ёлка",
    "el": "μια φωτογραφία κόκκινης γάτας στη γέφυρα χειμώνας φως πολύ μικρός κήπος ς",
    "tr": "eski köprüde kırmızı bir kedi kış ışığı çok küçük bahçe İstanbul IĞDIR şehir",
    "zh": "一张 红色 猫 在 旧桥 上 的 照片 冬天 的 光 很小 的 花园",
    "ja": "古い 橋の 上の 赤い 猫の 写真 冬の 光 とても 小さな 庭 カメラ ﾊﾝｶｸ",
    "ko": "오래된 다리 위의 빨간 고양이 사진 겨울 빛 아주 작은 정원",
    "ar": "صورة قطة حمراء على جسر قديم ضوء الشتاء حديقة صغيرة جدا",
    "he": "תמונה של חתול אדום על גשר ישן אור חורף גן קטן מאוד",
    "hi": "पुराने पुल पर लाल बिल्ली की तस्वीर सर्दी की रोशनी बहुत छोटा बगीचा",
    "vi": "một bức ảnh con mèo đỏ trên cây cầu cũ ánh sáng mùa đông khu vườn rất nhỏ",
}
MARKS = ["🐱", "🌉❄️", "👩‍🚀", "🇫🇷", "👍🏽", "…", "—", "“", "”", "!!!", "?!", "(((", ")", "1.5", "2026", "½", "№", "€", "x²", "#art", "@home", "8k", "f/2.8", "__", "~", "\\", "{a:1}", "<b>", "&amp;"]
ODD = [
    "", " ", "\t\n ", "a", "A", "<|startoftext|>", "<|endoftext|>", "a<|endoftext|>b", "<|ENDOFTEXT|>", "<|startoftext|> cat",
    "e\u0301te\u0301 cafe\u0301", "\u00e9t\u00e9", "A\u030angstro\u0308m", "\u212b", "ﬁn ﬂow", "İi Iı", "ẞß", "Ǆ ǅ ǆ", "ΣΑΣ ς",
    "no\u00a0break", "thin\u2009space", "zero\u200bwidth", "soft\u00adhyphen", "rtl\u200fmark", "\u3000wide", "a\u0000b",
    "line\r\nbreak", "tab\tbetween", "don't DON'T don’t", "'s 't 're 've 'm 'll 'd", "it''s", "12345 6 78", "٣٤٥", "Ⅷ ⅷ",
    "a" * 400, "ab " * 120, "🐱" * 90, "猫" * 100, "very " * 75, "very " * 76, "x" * 75, "1" * 76, "!" * 300, "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "👨‍👩‍👧‍👦", "\ufeffmark",
]


def texts(count: int = 500) -> list[str]:
    """The odd ones, then words of one or two languages with marks, some in other cases, some too long."""
    rng = random.Random(SEED)
    languages = sorted(WORDS)
    found = list(ODD)
    while len(found) < count:
        pool = [word for name in rng.sample(languages, rng.choice([1, 1, 2])) for word in WORDS[name].split()]
        length = rng.choice([1, 3, 6, 12, 25, 60, 130])
        words = [rng.choice(MARKS) if rng.random() < 0.12 else rng.choice(pool) for _ in range(length)]
        words = [rng.choice([str, str, str, str.upper, str.title])(word) for word in words]
        text = rng.choice([" ", " ", " ", "  ", ", "]).join(words)
        if text not in found:
            found.append(text)
    return found


def vocabulary(merges: int = 400) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Tokens and merges of a trainer over the words."""
    trained = Tokenizer(models.BPE(end_of_word_suffix=WORD_END))
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=2 * len(letters) + merges, min_frequency=1, initial_alphabet=letters, end_of_word_suffix=WORD_END,
        show_progress=False,
    )
    trained.train_from_iterator([line.lower() for line in WORDS.values()], trainer)
    pairs = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["merges"]]
    tokens = letters + [letter + WORD_END for letter in letters]
    tokens += [token for token in ("".join(pair) for pair in pairs) if token not in set(tokens)]
    tokens = list(dict.fromkeys(tokens)) + [START, END]
    return {token: number for number, token in enumerate(tokens)}, pairs


def write(folder: Path, merges: int = 400, pad: str = END) -> None:
    """`vocab.json`, `merges.txt` and `tokenizer_config.json` as an exported pipeline has them."""
    folder.mkdir(parents=True, exist_ok=True)
    vocab, pairs = vocabulary(merges)
    text = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    (folder / "vocab.json").write_text(text(vocab) + "\n", encoding="utf-8")
    lines = ["#version: 0.2"] + [" ".join(pair) for pair in pairs]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = {
        "bos_token": START, "eos_token": END, "unk_token": END, "pad_token": pad,
        "model_max_length": 77, "tokenizer_class": "CLIPTokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
