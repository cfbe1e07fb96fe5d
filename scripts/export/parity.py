"""Compare the exported denoiser with torch: same weights, float32, batches 1 and 3, timesteps from 0 to 999, all classes.

    python scripts/export/parity.py experiments/models/ddpm-cifar10-small

Needs torch (scripts/train/requirements.txt) and onnxruntime. A graph that takes times between two steps is asked there
too. Prints the largest absolute difference of epsilon and
exits with 1 if it is above 1e-5. Also checks, within ONNX Runtime, that an image's result is bit-equal whatever the
batch it is in and however many threads there are. `--record` writes parity.json into the bundle for the model card.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from ddpm_small import alpha_bar
from feeds import epsilon, has_classes, time_type
from torch import Tensor
from weights import read_header

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "train"))
from unet import Config, UNet

TOLERANCE = 1e-5


def session(path: Path, n_threads: int) -> ort.InferenceSession:
    """ONNX Runtime session on the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = n_threads
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def torch_model(folder: Path) -> UNet:
    """The trained network in torch."""
    weights = read_header(folder / "weights.safetensors")
    config = json.loads(weights.metadata["config"])
    config = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}
    model = UNet(Config(**config)).eval()
    model.load_state_dict({name: torch.from_numpy(weights.array(name)) for name in weights.tensors})
    return model


def signal_and_noise(timestep: np.ndarray) -> Tensor:
    """a and s [2, n, 1, 1, 1] at times that may lie between two steps, where ln(s / a) is interpolated; in f64, then f32."""
    log_ratio = 0.5 * np.log1p(-alpha_bar()) - 0.5 * np.log(alpha_bar())
    between = np.interp(timestep, np.arange(len(log_ratio)), log_ratio)
    squares = 1.0 / (1.0 + np.exp(np.stack([2.0 * between, -2.0 * between])))
    return torch.tensor(np.sqrt(squares), dtype=torch.float32)[..., None, None, None]


@torch.no_grad()
def torch_epsilon(model: UNet, x: np.ndarray, timestep: np.ndarray, label: np.ndarray | None) -> np.ndarray:
    """epsilon = a v + s x, in float32."""
    a, s = signal_and_noise(timestep)
    x_t, labels = torch.from_numpy(x), None if label is None else torch.from_numpy(label)
    return (a * model(x_t, torch.from_numpy(timestep), labels) + s * x_t).numpy()


def labels_of(model: UNet, denoiser: ort.InferenceSession, generator: np.random.Generator, n: int) -> np.ndarray | None:
    """Random classes, "none" among them, where the network has some: SystemExit if the graph does not take them."""
    n_classes = model.config.n_classes
    if has_classes(denoiser) != (n_classes is not None):
        sys.exit(f"parity: the weights have {n_classes or 'no'} classes, and the graph says otherwise: export it again")
    return None if n_classes is None else generator.integers(0, n_classes + 1, n)


def largest_difference(folder: Path) -> tuple[float, float]:
    """Largest |difference| of epsilon, and the scale of epsilon."""
    model, denoiser = torch_model(folder), session(folder / "denoiser.onnx", 1)
    generator = np.random.default_rng(0)
    between = [] if time_type(denoiser) is np.int64 else [0.25, 7.5, 333.3, 751.4, 998.9]
    difference, scale = 0.0, 0.0
    for batch, timesteps in ((1, [0, 1, 20, 333, 500, 999]), (3, [0, 10, 480, 980, 999]), (4, between)):
        for t in timesteps:
            x = generator.standard_normal((batch, 3, 32, 32), dtype=np.float32)
            timestep = (np.asarray(t, time_type(denoiser)) + 37 * np.arange(batch)) % 1000
            timestep = np.minimum(timestep, 999).astype(time_type(denoiser))
            label = labels_of(model, denoiser, generator, batch)
            expected = torch_epsilon(model, x, timestep, label)
            difference = max(difference, float(np.abs(epsilon(denoiser, x, timestep, label) - expected).max()))
            scale = max(scale, float(np.abs(expected).max()))
    return difference, scale


def batch_matters(folder: Path) -> list[str]:
    """Batch sizes and thread counts for which some image's bits change."""
    generator = np.random.default_rng(1)
    x = generator.standard_normal((64, 3, 32, 32), dtype=np.float32)
    timestep, one = generator.integers(0, 1000, 64), session(folder / "denoiser.onnx", 1)
    label = labels_of(torch_model(folder), one, generator, 64)
    expected = epsilon(one, x, timestep, label)
    changed = []
    for n_threads in (1, 2):
        denoiser = session(folder / "denoiser.onnx", n_threads)
        for batch in (1, 7, 32, 64):
            places = [slice(i, i + batch) for i in range(0, 64, batch)]
            parts = [epsilon(denoiser, x[at], timestep[at], None if label is None else label[at]) for at in places]
            if not np.array_equal(np.concatenate(parts), expected):
                changed.append(f"batch {batch}, {n_threads} threads")
    return changed


def record(folder: Path, difference: float, scale: float) -> None:
    """Write parity.json."""
    content = {
        "weights_sha256": hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest(),
        "largest_difference": difference,
        "scale": scale,
        "torch": torch.__version__,
        "onnxruntime": ort.__version__,
    }
    (folder / "parity.json").write_text(json.dumps(content, indent=2) + "\n")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="bundle folder")
    parser.add_argument("--record", action="store_true", help="write parity.json into the bundle")
    arguments = parser.parse_args()
    difference, scale = largest_difference(arguments.folder)
    print(f"epsilon: largest difference {difference:.2e} at a scale of {scale:.2f}, tolerance {TOLERANCE:.0e}")
    changed = batch_matters(arguments.folder)
    print("bits depend on the batch or the threads:", ", ".join(changed) or "never")
    if difference > TOLERANCE or changed:
        sys.exit(1)
    if arguments.record:
        record(arguments.folder, difference, scale)


if __name__ == "__main__":
    main()
