"""A tiny CLIP of random weights as Optimum exports one, and how well transformers says that texts and images agree.

    pip install transformers==5.24.0 tokenizers==0.23.3 torch==2.15.0 onnx==1.23.2 numpy==2.4.6 pillow==13.0.0
    python scripts/golden/clip.py --tokenizer experiments/models/tiny-sd15-random/tokenizer \
        --model experiments/models/tiny-clip-random --output harness/tests/data/clip

Writes the model in one graph (`model.onnx`, as `optimum-cli export onnx` does), and for the tests the same weights in two
graphs (`text_model.onnx`, `vision_model.onnx`). `golden.json` holds, for images whose levels are a formula, the cosines of
`CLIPModel` to each text; CLIPScore is 100 times them where they are not below zero (torchmetrics' scale), and pixels are
prepared by `CLIPImageProcessor` on Pillow. Weights are random: the numbers mean nothing.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import PIL
import torch
import transformers
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

import tiny_tokenizer
from pipeline_files import BATCH, TEXT, Wrapped, export, slim

TEXTS = ["a red cat", "一张 photo of 🐱, très BELLE lumière", "", "very " * 90]
# Height and width: wider than high, higher than wide, smaller than the network's image.
SIZES = [(40, 64), (50, 33), (16, 16)]
SIDE = 32


def model(tokenizer: CLIPTokenizer) -> CLIPModel:
    torch.manual_seed(tiny_tokenizer.SEED)
    narrow = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "projection_dim": 12}
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    clip = CLIPModel(CLIPConfig(
        text_config={**narrow, **special, "vocab_size": len(tokenizer), "max_position_embeddings": 77},
        vision_config={**narrow, "image_size": SIDE, "patch_size": 8}, projection_dim=12, attn_implementation="eager",
    ))
    # Freshly made weights are so small that all images look alike.
    with torch.no_grad():
        for weight in clip.parameters():
            if weight.dim() > 1:
                weight.normal_(0.0, 0.35)
    return clip.eval()


class Whole(Wrapped):
    def forward(self, input_ids, pixel_values, attention_mask):
        out = self.inner(input_ids=input_ids, pixel_values=pixel_values, attention_mask=attention_mask)
        return out.logits_per_image, out.logits_per_text, out.text_embeds, out.image_embeds


class TextHalf(Wrapped):
    def forward(self, input_ids):
        return self.inner.text_projection(self.inner.text_model(input_ids=input_ids).pooler_output)


class VisionHalf(Wrapped):
    def forward(self, pixel_values):
        return self.inner.visual_projection(self.inner.vision_model(pixel_values=pixel_values).pooler_output)


class NarrowVision(VisionHalf):
    """Of another width than the texts: what a mix of two exports looks like."""

    def forward(self, pixel_values):
        return super().forward(pixel_values)[:, :8]


def write_model(words: Path, folder: Path, halves: Path) -> tuple[CLIPModel, CLIPTokenizer, CLIPImageProcessor]:
    shutil.copytree(words, folder, dirs_exist_ok=True)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    clip = model(tokenizer)
    processor = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    config = clip.config.to_dict()
    config.pop("_name_or_path", None)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    processor.save_pretrained(folder)
    ids, mask = torch.full((2, 77), tokenizer.eos_token_id), torch.ones(2, 77, dtype=torch.int64)
    ids[:, 0] = tokenizer.bos_token_id
    pixels = torch.randn(3, 3, SIDE, SIDE)
    image = {0: "image_batch_size", 1: "num_channels", 2: "height", 3: "width"}
    text = {0: "text_batch_size", 1: "sequence_length"}
    export(Whole(clip), folder / "model.onnx", {"input_ids": ids, "pixel_values": pixels, "attention_mask": mask},
           ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"],
           {"input_ids": text, "pixel_values": image, "attention_mask": text, "logits_per_image": {0: "image_batch_size", 1: "text_batch_size"},
            "logits_per_text": {0: "text_batch_size", 1: "image_batch_size"}, "text_embeds": {0: "text_batch_size"},
            "image_embeds": {0: "image_batch_size"}})
    export(TextHalf(clip), halves / "text_model.onnx", {"input_ids": ids}, ["text_embeds"], {"input_ids": TEXT, "text_embeds": BATCH})
    export(VisionHalf(clip), halves / "vision_model.onnx", {"pixel_values": pixels}, ["image_embeds"],
           {"pixel_values": BATCH, "image_embeds": BATCH})
    export(NarrowVision(clip), halves / "narrow_vision_model.onnx", {"pixel_values": pixels}, ["image_embeds"],
           {"pixel_values": BATCH, "image_embeds": BATCH})
    for path in (folder / "model.onnx", *halves.glob("*.onnx")):
        slim(path)
    return clip, tokenizer, processor


def levels(number: int, height: int, width: int) -> np.ndarray:
    """`[h, w, 3]`; the test has the same formula."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return ((37 * (number + 1) * x + 11 * y * (c + 1) + 5 * x * y * (number + c)) % 256).astype("u1")


def golden(clip: CLIPModel, tokenizer: CLIPTokenizer, processor: CLIPImageProcessor) -> dict:
    tokens = tokenizer(TEXTS, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    images = []
    for number, (height, width) in enumerate(SIZES):
        pixels = processor(Image.fromarray(levels(number, height, width)), return_tensors="pt").pixel_values
        with torch.no_grad():
            out = clip(**tokens, pixel_values=pixels)
        cosines = torch.nn.functional.cosine_similarity(out.image_embeds, out.text_embeds)
        images.append({
            "size": [height, width], "cosines": [float(value) for value in cosines],
            "pixels": [float(pixels[0, c, y, x]) for c, y, x in ((0, 0, 0), (1, 5, 30), (2, 31, 31))],
            "mean": [float(value) for value in pixels.mean((0, 2, 3))],
        })
    tool = f"transformers {transformers.__version__}, torch {torch.__version__}, pillow {PIL.__version__}"
    lost = [max(0, len(tokenizer(text).input_ids) - 77) for text in TEXTS]
    return {"tool": tool, "texts": TEXTS, "lost": lost, "images": images}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    options.model.mkdir(parents=True, exist_ok=True)
    parts = write_model(options.tokenizer, options.model, options.output)
    text = json.dumps(golden(*parts), ensure_ascii=False, indent=1)
    (options.output / "golden.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
