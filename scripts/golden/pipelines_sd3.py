"""A tiny Stable Diffusion 3 pipeline of random weights in the layout of Optimum, and what diffusers computes with it.

    pip install diffusers==0.42.1 transformers==5.24.0 tokenizers==0.23.3 torch==2.15.0 onnx==1.23.2 numpy==2.4.6
    python scripts/golden/pipelines_sd3.py --pipeline experiments/models/tiny-sd3-random --output harness/tests/data/pipelines

Writes the pipeline, and `golden_sd3.npz`: token ids, states and pooled states of two texts as the transformer takes them,
with T5 and without, start latents, and final latents and images of `StableDiffusion3Pipeline`, 10 steps, guidance 7.0, with
T5 under the published shift of 3 and under none, and without T5. `tokens_t5.json` holds texts and the ids of T5's tokenizer.
Weights are random: the pictures mean nothing.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pipeline_files as files
import tiny_t5
import tiny_tokenizer
import torch
import transformers
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

PROMPTS = ["a red cat", "一张 photo of 🐱, très BELLE lumière"]
NEGATIVE = ["", "ugly"]
STEPS, SCALE, CHANNELS = 10, 7.0, 4
SCHEDULERS = {
    "flow_shift_3": FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0),
    "flow": FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000),
}


def clip(tokenizer: CLIPTokenizer, width: int, act: str) -> CLIPTextModelWithProjection:
    return CLIPTextModelWithProjection(CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=77, hidden_act=act, projection_dim=width,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )).eval()


def write_pipeline(folder: Path) -> StableDiffusion3Pipeline:
    for name in ("tokenizer", "tokenizer_2"):
        tiny_tokenizer.write(folder / name, merges=60, pad="!" if name == "tokenizer_2" else tiny_tokenizer.END)
    tiny_t5.write(folder / "tokenizer_3")
    tokenizers = [CLIPTokenizer.from_pretrained(folder / name) for name in ("tokenizer", "tokenizer_2")]
    t5 = PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer_3")
    torch.manual_seed(tiny_tokenizer.SEED)
    vae = AutoencoderKL(
        sample_size=32, block_out_channels=(4, 8), layers_per_block=1, latent_channels=CHANNELS, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False,
    )
    transformer = SD3Transformer2DModel(
        sample_size=16, patch_size=2, in_channels=CHANNELS, out_channels=CHANNELS, num_layers=2, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=24, caption_projection_dim=16, pooled_projection_dim=20,
        pos_embed_max_size=12,
    )
    pipeline = StableDiffusion3Pipeline(
        transformer=transformer.eval(), scheduler=SCHEDULERS["flow_shift_3"], vae=vae.eval(),
        text_encoder=clip(tokenizers[0], 8, "quick_gelu"), tokenizer=tokenizers[0],
        text_encoder_2=clip(tokenizers[1], 12, "gelu"), tokenizer_2=tokenizers[1],
        text_encoder_3=T5EncoderModel(T5Config(
            vocab_size=len(t5), d_model=24, d_kv=8, d_ff=32, num_layers=1, num_heads=2, feed_forward_proj="gated-gelu",
            pad_token_id=t5.pad_token_id, eos_token_id=t5.eos_token_id,
        )).eval(),
        tokenizer_3=t5,
    )
    texts = ["text_encoder", "text_encoder_2", "text_encoder_3"]
    files.write_json(pipeline, folder, {name: name for name in [*texts, "transformer"]} | {"vae": "vae_decoder"})
    for name in texts[:2]:
        module = files.Projected(getattr(pipeline, name), "text_embeds")
        files.export_text(module, folder / name / "model.onnx", module.names())
    files.export_text(files.T5(pipeline.text_encoder_3), folder / "text_encoder_3/model.onnx", ["last_hidden_state"])
    files.export_decoder(vae, folder / "vae_decoder/model.onnx", CHANNELS)
    export_transformer(transformer, folder / "transformer/model.onnx")
    return pipeline


class Transformer(files.Wrapped):
    def forward(self, hidden_states, encoder_hidden_states, pooled_projections, timestep):
        return self.inner(hidden_states, encoder_hidden_states, pooled_projections, timestep, return_dict=False)[0]


def export_transformer(transformer: SD3Transformer2DModel, path: Path) -> None:
    inputs = {
        "hidden_states": torch.randn(2, CHANNELS, 16, 16), "encoder_hidden_states": torch.randn(2, 77 + 256, 24),
        "pooled_projections": torch.randn(2, 20), "timestep": torch.tensor([900.0, 900.0]),
    }
    axes = {
        "hidden_states": files.SIDE, "encoder_hidden_states": files.TEXT, "pooled_projections": files.BATCH,
        "timestep": {0: "step"}, "out_hidden_states": files.SIDE,
    }
    files.export(Transformer(transformer), path, inputs, ["out_hidden_states"], axes)
    files.slim(path)


def run(pipeline: StableDiffusion3Pipeline, start: np.ndarray, kind: str) -> np.ndarray:
    rows = [
        pipeline(
            prompt, negative_prompt=negative, num_inference_steps=STEPS, guidance_scale=SCALE, output_type=kind,
            latents=torch.from_numpy(start[row:row + 1]), height=32, width=32,
        ).images
        for row, (prompt, negative) in enumerate(zip(PROMPTS, NEGATIVE))
    ]
    return torch.cat(rows).numpy()


def golden(pipeline: StableDiffusion3Pipeline) -> dict[str, np.ndarray]:
    """What the pipeline of diffusers computes: prompt 0 with the empty negative prompt, prompt 1 with another one."""
    pipeline.set_progress_bar_config(disable=True)
    arrays = {"start": np.random.default_rng(11).standard_normal((2, CHANNELS, 16, 16)).astype("f4")}
    t5 = pipeline.text_encoder_3
    for case, scheduler, third in [
        ("flow_shift_3", "flow_shift_3", t5), ("flow", "flow", t5), ("no_t5", "flow_shift_3", None),
    ]:
        pipeline.scheduler, pipeline.text_encoder_3 = SCHEDULERS[scheduler], third
        if case != "flow":
            with torch.no_grad():
                states, _, pooled, _ = pipeline.encode_prompt(PROMPTS, None, None, do_classifier_free_guidance=False)
            arrays |= {f"{case}_text": states.numpy(), f"{case}_pooled": pooled.numpy()}
        arrays[f"{case}_latent"] = run(pipeline, arrays["start"], "latent").astype("f4")
        arrays[f"{case}_image"] = np.rint(255 * run(pipeline, arrays["start"], "pt")).astype("u1")
    # The rows of states behind those of T5, or of zeros in its place, are stored once.
    arrays["no_t5_text"] = arrays["no_t5_text"][:, :80]
    return arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipeline", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    pipeline = write_pipeline(options.pipeline)
    np.savez(options.output / "golden_sd3.npz", **golden(pipeline))
    for name, scheduler in SCHEDULERS.items():
        files.write_scheduler(scheduler, options.output / f"{name}.json")
    texts = tiny_tokenizer.texts()[::5]
    tokens = {
        "tool": f"transformers {transformers.__version__}",
        "texts": texts,
        "ids": [pipeline.tokenizer_3(text).input_ids for text in texts],
        "cut": [pipeline.tokenizer_3(text, max_length=64, truncation=True, padding="max_length").input_ids for text in texts],
    }
    (options.output / "tokens_t5.json").write_text(json.dumps(tokens, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
