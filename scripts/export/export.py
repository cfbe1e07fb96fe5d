"""Write a model bundle's two ONNX graphs and its model.yaml from weights.safetensors, without torch.

    pip install -r scripts/export/requirements.txt
    python scripts/export/export.py experiments/models/ddpm-cifar10-small

The folder must hold weights.safetensors. Written beside it: denoiser.onnx (the plain forward graph),
denoiser_train.onnx (the same with its Dropout nodes active) and model.yaml. Both graphs refer to the bytes in
weights.safetensors, so the three files must stay together.

    python scripts/export/export.py FOLDER --weights half --from runs/small/ema-900032.safetensors

rounds float32 weights into FOLDER/weights.safetensors, in half the bytes; the graphs cast them back and compute in
float32.
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

import ddpm_small
import onnx
from described import described
from weights import WeightsError, in_half, read_header

WEIGHTS = "weights.safetensors"
GRAPHS = {"denoiser.onnx": False, "denoiser_train.onnx": True}
MODEL_YAML = """\
format: 1
name: {name}
task: {{kind: denoiser, image: [3, 32, 32], range: [-1, 1], classes: {classes}}}
prediction: epsilon
{storage}schedule: {{kind: linear, beta_start: 1.0e-4, beta_end: 0.02, n_train_steps: 1000}}
timestep: {{offset: 0}}
{cfg}graphs:
  denoiser: {{file: denoiser.onnx, inputs: {{x: sample, t: timestep, y: {y}}}, outputs: {{prediction: eps}}}}
  train: {{file: denoiser_train.onnx}}
files:
{files}
provenance:
  training_data: {described.training_data}
  recipe: {recipe}
  licence: MIT OR Apache-2.0
  fid: {fid}
"""


def write_atomically(path: Path, content: bytes) -> None:
    """Write the whole file or nothing."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)


def file_entry(path: Path) -> str:
    """One line of `files:` in model.yaml."""
    content = path.read_bytes()
    return f"  {path.name}: {{sha256: {hashlib.sha256(content).hexdigest()}, bytes: {len(content)}}}"


def is_half(folder: Path) -> bool:
    """Whether the bundle's weights are stored in float16."""
    tensors = read_header(folder / WEIGHTS).tensors.values()
    return any(tensor.dtype == "F16" for tensor in tensors)


def put_weights(folder: Path, source: Path, *, half: bool) -> None:
    """Write the float32 weights of `source` into the bundle, rounded where `half`."""
    if half and (folder / WEIGHTS).exists() and source.samefile(folder / WEIGHTS):
        raise WeightsError(f"{source}: the float32 weights would be lost: copy them out of the bundle first")
    content = in_half(read_header(source)) if half else source.read_bytes()
    write_atomically(folder / WEIGHTS, content)


def model_yaml(folder: Path, fid: str, metadata: dict[str, str]) -> str:
    """Text of model.yaml for the files in `folder`, whose name the network has; `metadata` is that of the weights."""
    names, n_classes = [WEIGHTS, *GRAPHS], json.loads(metadata["config"]).get("n_classes")
    return MODEL_YAML.format(
        name=folder.resolve().name,
        described=described(folder, metadata),
        recipe=metadata.get("trainer", "scripts/train/train.py"),
        classes="null" if n_classes is None else n_classes,
        cfg="" if n_classes is None else f"cfg: {{null: {{label: {n_classes}}}}}\n",
        y="null" if n_classes is None else "label",
        storage="storage: float16\n" if is_half(folder) else "",
        files="\n".join(file_entry(folder / name) for name in names),
        fid=fid,
    )


def export(folder: Path, fid: str, time: str = "int64") -> None:
    """Write both graphs and model.yaml into `folder`; `time` is the element type of the timestep."""
    weights = read_header(folder / WEIGHTS)
    for name, train in GRAPHS.items():
        model = ddpm_small.build(weights, train=train, real_time=time == "float32")
        write_atomically(folder / name, model.SerializeToString(deterministic=True))
        onnx.checker.check_model(str(folder / name), full_check=True)
        print(f"{folder / name}: {len(model.graph.node)} nodes")
    write_atomically(folder / "model.yaml", model_yaml(folder, fid, weights.metadata).encode())


def add_time(parser: argparse.ArgumentParser) -> None:
    """The option for the element type of the timestep."""
    text = "element type of the timestep: float32 for samplers that ask between two training steps (DPM-Solver-2)"
    parser.add_argument("--time", choices=["int64", "float32"], default="int64", help=text)


def add_weights(parser: argparse.ArgumentParser) -> None:
    """The option for how weights are stored."""
    text = "how the weights are stored: in float32 (full), or rounded to float16 (half)"
    parser.add_argument("--weights", choices=["full", "half"], default="full", help=text)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="bundle folder that holds weights.safetensors")
    parser.add_argument("--fid", default="null", help="measured FID, for provenance.fid")
    add_time(parser)
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE", help="float32 weights to put there first")
    add_weights(parser)
    arguments = parser.parse_args()
    if arguments.weights == "half" and arguments.source is None:
        parser.error("--weights half rounds the float32 weights of --from FILE: name it")
    try:
        if arguments.source is not None:
            put_weights(arguments.folder, arguments.source, half=arguments.weights == "half")
        export(arguments.folder, arguments.fid, arguments.time)
    except (WeightsError, OSError) as error:
        sys.exit(f"export: {error}")


if __name__ == "__main__":
    main()
