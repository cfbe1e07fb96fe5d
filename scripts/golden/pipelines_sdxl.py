"""A tiny Stable Diffusion XL pipeline of random weights in the layout of Optimum, and what diffusers computes with it.

    pip install diffusers==0.42.1 transformers==5.24.0 tokenizers==0.23.3 torch==2.15.0 onnx==1.23.2 numpy==2.4.6
    python scripts/golden/pipelines_sdxl.py --pipeline experiments/models/tiny-sdxl-random --output harness/tests/data/pipelines

Writes the pipeline, and `golden_sdxl.npz`: states and pooled states of two texts, start latents, and final latents and images
of `StableDiffusionXLPipeline`, 10 steps, guidance 5.0: a prompt without a negative one (states of zeros stand for it), one
with another text, and one with the empty text. Weights are random: the pictures mean nothing.
"""

import argparse
from pathlib import Path

import numpy as np
import pipeline_files as files
import tiny_tokenizer
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

PROMPTS = ["a red cat", "一张 photo of 🐱, très BELLE lumière"]
ROWS = [(PROMPTS[0], None), (PROMPTS[1], "ugly"), (PROMPTS[0], "")]
STEPS, SCALE = 10, 5.0
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
# What is published with Stable Diffusion XL, and DDIM.
SCHEDULERS = {
    "euler": EulerDiscreteScheduler(**BETAS, timestep_spacing="leading", steps_offset=1),
    "ddim": DDIMScheduler(**BETAS, clip_sample=False, steps_offset=1, set_alpha_to_one=False),
}


def text_config(tokenizer: CLIPTokenizer, width: int, act: str) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=77, hidden_act=act, projection_dim=width,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )


def write_pipeline(folder: Path) -> StableDiffusionXLPipeline:
    for name in ("tokenizer", "tokenizer_2"):
        tiny_tokenizer.write(folder / name, merges=60, pad="!" if name == "tokenizer_2" else tiny_tokenizer.END)
    tokenizers = [CLIPTokenizer.from_pretrained(folder / name) for name in ("tokenizer", "tokenizer_2")]
    torch.manual_seed(tiny_tokenizer.SEED)
    vae = AutoencoderKL(
        sample_size=32, block_out_channels=(4, 8), layers_per_block=1, latent_channels=4, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, scaling_factor=0.13025,
        force_upcast=False,
    )
    unet = UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=20, attention_head_dim=(2, 2), use_linear_projection=True, transformer_layers_per_block=(1, 1),
        addition_embed_type="text_time", addition_time_embed_dim=4, projection_class_embeddings_input_dim=12 + 6 * 4,
    )
    pipeline = StableDiffusionXLPipeline(
        unet=unet.eval(), scheduler=SCHEDULERS["euler"], vae=vae.eval(),
        text_encoder=CLIPTextModel(text_config(tokenizers[0], 8, "quick_gelu")).eval(), tokenizer=tokenizers[0],
        text_encoder_2=CLIPTextModelWithProjection(text_config(tokenizers[1], 12, "gelu")).eval(), tokenizer_2=tokenizers[1],
        add_watermarker=False,
    )
    texts = ["text_encoder", "text_encoder_2"]
    files.write_json(pipeline, folder, {name: name for name in [*texts, "unet"]} | {"vae": "vae_decoder"})
    for name, first in zip(texts, [None, "text_embeds"]):
        module = files.Projected(getattr(pipeline, name), first)
        files.export_text(module, folder / name / "model.onnx", module.names())
    files.export_decoder(vae, folder / "vae_decoder/model.onnx", 4)
    export_unet(unet, folder / "unet/model.onnx")
    return pipeline


class Unet(files.Wrapped):
    def forward(self, sample, timestep, encoder_hidden_states, text_embeds, time_ids):
        added = {"text_embeds": text_embeds, "time_ids": time_ids}
        return self.inner(sample, timestep, encoder_hidden_states, added_cond_kwargs=added, return_dict=False)[0]


def export_unet(unet: UNet2DConditionModel, path: Path) -> None:
    inputs = {
        "sample": torch.randn(2, 4, 16, 16), "timestep": torch.tensor(3), "encoder_hidden_states": torch.randn(2, 77, 20),
        "text_embeds": torch.randn(2, 12), "time_ids": torch.full((2, 6), 32.0),
    }
    axes = {
        "sample": files.SIDE, "encoder_hidden_states": files.TEXT, "text_embeds": files.BATCH, "time_ids": files.BATCH,
        "out_sample": files.SIDE,
    }
    files.export(Unet(unet), path, inputs, ["out_sample"], axes)
    files.slim(path)


def run(pipeline: StableDiffusionXLPipeline, start: np.ndarray, kind: str) -> np.ndarray:
    rows = [
        pipeline(
            prompt, negative_prompt=negative, num_inference_steps=STEPS, guidance_scale=SCALE, output_type=kind,
            latents=torch.from_numpy(start[row:row + 1]), height=32, width=32,
        ).images
        for row, (prompt, negative) in enumerate(ROWS)
    ]
    return torch.cat(rows).numpy()


def golden(pipeline: StableDiffusionXLPipeline) -> dict[str, np.ndarray]:
    """What the pipeline of diffusers computes for each row."""
    pipeline.set_progress_bar_config(disable=True)
    arrays = {"start": np.random.default_rng(13).standard_normal((3, 4, 16, 16)).astype("f4")}
    with torch.no_grad():
        states, _, pooled, _ = pipeline.encode_prompt(PROMPTS, do_classifier_free_guidance=False)
    arrays |= {"text": states.numpy(), "pooled": pooled.numpy()}
    for name, scheduler in SCHEDULERS.items():
        pipeline.scheduler = scheduler
        arrays[f"{name}_latent"] = run(pipeline, arrays["start"], "latent").astype("f4")
        arrays[f"{name}_image"] = np.rint(255 * run(pipeline, arrays["start"], "pt")).astype("u1")
    return arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipeline", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    pipeline = write_pipeline(options.pipeline)
    np.savez(options.output / "golden_sdxl.npz", **golden(pipeline))


if __name__ == "__main__":
    main()
