"""The tiny Stable Diffusion pipeline in half precision, as an export with `--fp16` is, and what diffusers computes with it.

    pip install diffusers==0.42.1 transformers==5.24.0 tokenizers==0.23.3 torch==2.15.0 onnx==1.23.2 numpy==2.4.6
    python scripts/golden/pipelines_half.py --pipeline experiments/models/tiny-sd15-random --output harness/tests/data/pipelines

Writes `half/`: text encoder, network and decoder of `pipelines.py` whose weights, inputs and outputs are float16, the time
too; the rest of the pipeline, its tokenizer above all, is what stands in `--pipeline`, since ties between merges fall as they
will when a vocabulary is trained again. `golden_half.npz` holds final latents and images of
`StableDiffusionPipeline`, 10 steps of DDIM and PNDM, guidance 7.5, twice from the same starts: all in float32, and with every
network asked in float16 by torch, states and schedulers in float32. How far the two lie apart is what half precision costs in
other people's code.
"""

import argparse
import copy
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from transformers import CLIPTokenizer
from transformers.modeling_outputs import BaseModelOutputWithPooling

from pipeline_files import SIDE, TEXT, export, slim
from pipelines import NEGATIVE, PROMPTS, SCALE, SCHEDULERS, STEPS, Decoder, Text, Unet, write_pipeline


def write_graphs(pipeline: StableDiffusionPipeline, folder: Path) -> None:
    half = lambda module: copy.deepcopy(module).half().eval()
    x, ids = torch.randn(2, 4, 16, 16).half(), torch.zeros(2, 77, dtype=torch.int64)
    latent = {0: "batch_size", 2: "latent_height", 3: "latent_width"}
    # With the fused attention the exporter writes a mask in float32, and with it all that follows.
    text = half(pipeline.text_encoder)
    text.set_attn_implementation("eager")
    export(Text(text), folder / "text_encoder/model.onnx", {"input_ids": ids},
           ["last_hidden_state", "pooler_output"], {"input_ids": TEXT, "last_hidden_state": TEXT, "pooler_output": {0: "batch_size"}})
    export(Unet(half(pipeline.unet)), folder / "unet/model.onnx",
           {"sample": x, "timestep": torch.tensor(3.0).half(), "encoder_hidden_states": torch.randn(2, 77, 16).half()}, ["out_sample"],
           {"sample": SIDE, "encoder_hidden_states": TEXT, "out_sample": SIDE})
    export(Decoder(half(pipeline.vae)), folder / "vae_decoder/model.onnx", {"latent_sample": x}, ["sample"],
           {"latent_sample": latent, "sample": SIDE})
    for name in ("text_encoder", "unet", "vae_decoder"):
        slim(folder / name / "model.onnx")


def narrowed(pipeline: StableDiffusionPipeline) -> None:
    """Every network of the pipeline is asked in float16 and answers in float32."""
    text, unet, vae = (copy.deepcopy(part).half().eval() for part in (pipeline.text_encoder, pipeline.unet, pipeline.vae))

    def encode(ids, attention_mask=None, **_):
        return BaseModelOutputWithPooling(last_hidden_state=text(ids).last_hidden_state.float())

    def predict(sample, t, encoder_hidden_states, **_):
        return (unet(sample.half(), t.half(), encoder_hidden_states.half(), return_dict=False)[0].float(),)

    def decode(latent, **_):
        return (vae.decode(latent.half(), return_dict=False)[0].float(),)

    pipeline.text_encoder.forward, pipeline.unet.forward, pipeline.vae.decode = encode, predict, decode


def runs(pipeline: StableDiffusionPipeline, start: np.ndarray, suffix: str) -> dict[str, np.ndarray]:
    arrays = {}
    for name in ("ddim", "pndm"):
        pipeline.scheduler = SCHEDULERS[name]
        for kind, key in (("latent", "latent"), ("pt", "image")):
            out = [
                pipeline(
                    prompt, negative_prompt=negative, num_inference_steps=STEPS, guidance_scale=SCALE, output_type=kind,
                    latents=torch.from_numpy(start[row:row + 1]),
                ).images
                for row, (prompt, negative) in enumerate(zip(PROMPTS, NEGATIVE))
            ]
            values = torch.cat(out).float().numpy()
            arrays[f"{name}_{key}{suffix}"] = np.rint(255 * values).astype("u1") if kind == "pt" else values.astype("f4")
    return arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipeline", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pipeline = write_pipeline(Path(folder))
    pipeline.tokenizer = CLIPTokenizer.from_pretrained(options.pipeline / "tokenizer")
    pipeline.set_progress_bar_config(disable=True)
    write_graphs(pipeline, options.output / "half")
    start = np.random.default_rng(7).standard_normal((2, 4, 16, 16)).astype("f4")
    arrays = {"start": start} | runs(pipeline, start, "_single")
    narrowed(pipeline)
    arrays |= runs(pipeline, start, "")
    np.savez(options.output / "golden_half.npz", **arrays)


if __name__ == "__main__":
    main()
