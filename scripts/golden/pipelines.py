"""A tiny Stable Diffusion pipeline of random weights in the layout of Optimum, and what diffusers computes with it.

    pip install diffusers==0.42.1 transformers==5.24.0 tokenizers==0.23.3 torch==2.15.0 onnx==1.23.2 numpy==2.4.6
    python scripts/golden/pipelines.py --pipeline experiments/models/tiny-sd15-random --output harness/tests/data/pipelines

Writes the pipeline (graphs by torch's exporter with the names that Optimum gives, JSON as diffusers saves it), and
`golden.npz`: token ids, text states, start latents, and final latents and images of `StableDiffusionPipeline` under each
scheduler, 10 steps, guidance 7.5. `tokens.json` holds 500 texts and the ids of `CLIPTokenizer`; `tokenizer-json/` the
same tokenizer in one file. Weights are random: the pictures mean nothing.
"""

import argparse
import json
import tempfile
from pathlib import Path

import diffusers
import numpy as np
import tokenizers
import torch
import transformers
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import tiny_tokenizer

PROMPTS = ["a red cat", "一张 photo of 🐱, très BELLE lumière"]
NEGATIVE = ["", "ugly"]
STEPS, SCALE = 10, 7.5
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
# What is published with Stable Diffusion 1.5, and what its users put in the place of it.
SCHEDULERS = {
    "pndm": PNDMScheduler(**BETAS, skip_prk_steps=True, steps_offset=1, set_alpha_to_one=False),
    "ddim": DDIMScheduler(**BETAS, clip_sample=False, steps_offset=1, set_alpha_to_one=False),
    "ddim_v_trailing": DDIMScheduler(
        **BETAS, clip_sample=False, set_alpha_to_one=True, prediction_type="v_prediction", timestep_spacing="trailing",
    ),
    "dpm": DPMSolverMultistepScheduler(**BETAS),
    "dpm_v": DPMSolverMultistepScheduler(**BETAS, prediction_type="v_prediction", timestep_spacing="trailing"),
    "euler": EulerDiscreteScheduler(**BETAS, timestep_spacing="leading", steps_offset=1),
}
OPSET = 17


def modules(tokenizer: CLIPTokenizer) -> dict[str, torch.nn.Module]:
    """Narrow networks of the published architecture."""
    torch.manual_seed(tiny_tokenizer.SEED)
    text = CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=77, hidden_act="quick_gelu", projection_dim=16,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    ))
    unet = UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16, attention_head_dim=2,
    )
    vae = AutoencoderKL(
        sample_size=32, block_out_channels=(8, 16), layers_per_block=1, latent_channels=4, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )
    return {"text_encoder": text.eval(), "unet": unet.eval(), "vae": vae.eval()}


class Text(torch.nn.Module):
    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = self.inner(input_ids=input_ids)
        return out.last_hidden_state, out.pooler_output


class Unet(Text):
    def forward(self, sample, timestep, encoder_hidden_states):
        return self.inner(sample, timestep, encoder_hidden_states, return_dict=False)[0]


class Decoder(Text):
    def forward(self, latent_sample):
        return self.inner.decode(latent_sample, return_dict=False)[0]


def export(module: torch.nn.Module, path: Path, inputs: dict[str, torch.Tensor], outputs: list[str], axes: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        torch.onnx.export(
            module, tuple(inputs.values()), str(path), input_names=list(inputs), output_names=outputs,
            dynamic_axes=axes, opset_version=OPSET, do_constant_folding=True, dynamo=False,
        )


def write_pipeline(folder: Path) -> StableDiffusionPipeline:
    tiny_tokenizer.write(folder / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    parts = modules(tokenizer)
    pipeline = StableDiffusionPipeline(
        **parts, tokenizer=tokenizer, scheduler=SCHEDULERS["pndm"], safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )
    with tempfile.TemporaryDirectory() as saved:
        pipeline.save_pretrained(saved)
        names = [("text_encoder", "text_encoder"), ("unet", "unet"), ("vae", "vae_decoder")]
        for source, target in names:
            (folder / target).mkdir(parents=True, exist_ok=True)
            config = json.loads((Path(saved) / source / "config.json").read_text())
            config.pop("_name_or_path", None)
            (folder / target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        for name in ("model_index.json", "scheduler/scheduler_config.json"):
            (folder / name).parent.mkdir(exist_ok=True)
            values = json.loads((Path(saved) / name).read_text())
            values.pop("_name_or_path", None)
            if name == "model_index.json":
                values["_note"] = "random weights: pictures and numbers mean nothing"
            (folder / name).write_text(json.dumps(values, indent=2) + "\n")
    x, ids, states = torch.randn(2, 4, 16, 16), torch.zeros(2, 77, dtype=torch.int64), torch.randn(2, 77, 16)
    side = {0: "batch_size", 2: "height", 3: "width"}
    export(Text(parts["text_encoder"]), folder / "text_encoder/model.onnx", {"input_ids": ids},
           ["last_hidden_state", "pooler_output"],
           {"input_ids": {0: "batch_size", 1: "sequence_length"}, "last_hidden_state": {0: "batch_size", 1: "sequence_length"},
            "pooler_output": {0: "batch_size"}})
    export(Unet(parts["unet"]), folder / "unet/model.onnx",
           {"sample": x, "timestep": torch.tensor(3), "encoder_hidden_states": states}, ["out_sample"],
           {"sample": side, "encoder_hidden_states": {0: "batch_size", 1: "sequence_length"}, "out_sample": side})
    export(Decoder(parts["vae"]), folder / "vae_decoder/model.onnx", {"latent_sample": x}, ["sample"],
           {"latent_sample": {0: "batch_size", 2: "latent_height", 3: "latent_width"}, "sample": side})
    return pipeline


def golden(pipeline: StableDiffusionPipeline) -> dict[str, np.ndarray]:
    """What the pipeline of diffusers computes: prompt 0 with the empty negative prompt, prompt 1 with another one."""
    pipeline.set_progress_bar_config(disable=True)
    arrays = {"start": np.random.default_rng(7).standard_normal((2, 4, 16, 16)).astype("f4")}
    ids = pipeline.tokenizer(PROMPTS, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    with torch.no_grad():
        arrays["ids"] = ids.numpy().astype("i4")
        arrays["text"] = pipeline.text_encoder(ids)[0].numpy()
    for name, scheduler in SCHEDULERS.items():
        pipeline.scheduler = scheduler
        runs = []
        for kind in ("latent", "pt"):
            out = [
                pipeline(
                    prompt, negative_prompt=negative, num_inference_steps=STEPS, guidance_scale=SCALE, output_type=kind,
                    latents=torch.from_numpy(arrays["start"][row:row + 1]),
                ).images
                for row, (prompt, negative) in enumerate(zip(PROMPTS, NEGATIVE))
            ]
            runs.append(torch.cat(out).numpy())
        arrays[f"{name}_latent"] = runs[0].astype("f4")
        arrays[f"{name}_image"] = np.rint(255 * runs[1]).astype("u1")
    return arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipeline", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    pipeline = write_pipeline(options.pipeline)
    options.output.mkdir(parents=True, exist_ok=True)
    np.savez(options.output / "golden.npz", **golden(pipeline))
    for name, scheduler in SCHEDULERS.items():
        text = json.dumps(dict(scheduler.config) | {"_class_name": type(scheduler).__name__}, indent=2)
        (options.output / f"{name}.json").write_text(text + "\n")
    texts = tiny_tokenizer.texts()
    tokens = {
        "tool": f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}, diffusers {diffusers.__version__}",
        "texts": texts,
        "ids": [pipeline.tokenizer(text).input_ids for text in texts],
        "lost": [max(0, len(pipeline.tokenizer(text).input_ids) - 77) for text in texts],
        "cut": [pipeline.tokenizer(text, max_length=77, truncation=True).input_ids[-2:] for text in texts],
    }
    (options.output / "tokens.json").write_text(json.dumps(tokens, ensure_ascii=False, separators=(",", ":")) + "\n")
    single = options.output / "tokenizer-json"
    single.mkdir(exist_ok=True)
    pipeline.tokenizer.save_pretrained(single)
    for path in single.iterdir():
        if path.name not in ("tokenizer.json", "tokenizer_config.json"):
            path.unlink()


if __name__ == "__main__":
    main()
