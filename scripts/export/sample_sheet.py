"""Draw a sheet of samples from a bundle: 8x8 images by DDIM (eta = 0), 50 steps, with ONNX Runtime.

    python scripts/export/sample_sheet.py experiments/models/ddpm-cifar10-small --seed 0

DDIM, Eq. 12 of arXiv:2010.02502 with eta = 0; timesteps 980, 960 .. 0, x0 clipped to [-1, 1], alpha_bar = 1 after the
last step. Nothing is picked: the sheet shows the first 64 images of the seed. A network with classes shows a row of
eight images of one class after another.
"""

import argparse
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import onnxruntime as ort
from ddpm_small import N_TIMESTEPS, alpha_bar
from feeds import epsilon as predict
from weights import read_header


def ddim(denoiser: ort.InferenceSession, x_t: np.ndarray, label: np.ndarray | None, n_steps: int) -> np.ndarray:
    """Images [n, 3, 32, 32] in [-1, 1] from x_T; `label` [n] where the network has classes."""
    abar = alpha_bar()
    stride = N_TIMESTEPS // n_steps
    for t in range((n_steps - 1) * stride, -1, -stride):
        epsilon = predict(denoiser, x_t, np.full(len(x_t), t), label)
        before = abar[t - stride] if t >= stride else 1.0
        x_0 = np.clip((x_t - np.sqrt(1 - abar[t]) * epsilon) / np.sqrt(abar[t]), -1, 1)
        epsilon = (x_t - np.sqrt(abar[t]) * x_0) / np.sqrt(1 - abar[t])  # of the clipped x_0
        x_t = (np.sqrt(before) * x_0 + np.sqrt(1 - before) * epsilon).astype(np.float32)
    return x_t


def sheet(images: np.ndarray, n_columns: int, scale: int, gap: int) -> np.ndarray:
    """Lay images out on white, u8 [height, width, 3], each pixel `scale` x `scale`."""
    pixels = np.clip(np.rint((images.transpose(0, 2, 3, 1) + 1) * 127.5), 0, 255).astype(np.uint8)
    pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    pixels = np.pad(pixels, ((0, 0), (0, gap), (0, gap), (0, 0)), constant_values=255)
    n, h, w, _ = pixels.shape
    grid = pixels.reshape(n // n_columns, n_columns, h, w, 3).transpose(0, 2, 1, 3, 4)
    return grid.reshape(n // n_columns * h, n_columns * w, 3)[:-gap, :-gap]


def png(pixels: np.ndarray) -> bytes:
    """An RGB PNG of u8 [height, width, 3]."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def draw(folder: Path, seed: int, n_threads: int, n_steps: int = 50) -> None:
    """Write samples.png into the bundle."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = n_threads
    denoiser = ort.InferenceSession(str(folder / "denoiser.onnx"), options, providers=["CPUExecutionProvider"])
    x_t = np.random.default_rng(seed).standard_normal((64, 3, 32, 32), dtype=np.float32)
    n_classes = json.loads(read_header(folder / "weights.safetensors").metadata["config"]).get("n_classes")
    label = None if n_classes is None else np.arange(64) // 8 % n_classes
    images = ddim(denoiser, x_t, label, n_steps)
    (folder / "samples.png").write_bytes(png(sheet(images, n_columns=8, scale=2, gap=4)))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="bundle folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    draw(arguments.folder, arguments.seed, arguments.threads)


if __name__ == "__main__":
    main()
