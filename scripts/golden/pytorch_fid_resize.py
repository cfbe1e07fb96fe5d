"""Write golden values of pytorch-fid's preprocessing, computed by PyTorch itself.

    python scripts/golden/pytorch_fid_resize.py metrics/tests/data/pytorch_fid_resize.json

Needs torch (CPU kernels with fused multiply-add: any x86-64 with AVX2). The images come from a formula that the test
repeats; the JSON holds the bits of the f32 results, so that the test can ask for equality.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate

CASES = [(2, 6, 5, 13), (1, 32, 32, 37), (1, 9, 20, 7)]


def image(n: int, height: int, width: int) -> np.ndarray:
    """u8 images [n, 3, height, width]: value = (37 i + i * i) mod 256 over the flat index i."""
    index = np.arange(n * 3 * height * width, dtype=np.int64)
    return ((37 * index + index * index) % 256).astype(np.uint8).reshape(n, 3, height, width)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    if not output.parent.is_dir():
        sys.exit(f"pytorch_fid_resize: {output.parent} is no folder: make it first")
    cases = []
    for n, height, width, size in CASES:
        x = torch.from_numpy(image(n, height, width)).float() / 255
        y = 2 * interpolate(x, size=(size, size), mode="bilinear", align_corners=False) - 1
        bits = y.numpy().view(np.uint32).ravel().tolist()
        cases.append({"n": n, "height": height, "width": width, "size": size, "bits": bits})
    text = json.dumps({"tool": f"torch {torch.__version__}", "cases": cases}, separators=(",", ":"))
    output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
