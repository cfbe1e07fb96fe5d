"""What Pillow makes of whole photographs' sizes on the way to a training size, by four recipes.

    pip install numpy==2.4.6 pillow==12.0.0
    python scripts/golden/transforms.py metrics/tests/data/transforms.json

`metrics/tests/transforms.rs` makes the same pictures from the same formula and compares a hash of all bytes. The recipes:
ADM's centre crop (the data loader of guided-diffusion), a squash by the box filter (the downsampled ImageNet of Chrabaszcz
et al.), a squash by Lanczos (the data set tool of EDM without a crop), and that tool with `--transform=center-crop`.

Why not Pillow 13? There 4 of these cases give other bytes: squashes of tall images, whose rows it resamples before their
columns. The data sets and statistics that people have were made by Pillow before it, which always begins with the columns.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

SIZES = [(375, 500), (500, 333), (333, 500), (97, 300), (64, 64), (50, 40), (129, 128), (257, 1001), (640, 427)]


def picture(height: int, width: int) -> np.ndarray:
    """A slope with edges, and noise of a quarter of the range: whole numbers of 32 bits alone."""
    y, x, c = np.meshgrid(*(np.arange(n, dtype=np.uint32) for n in (height, width, 3)), indexing="ij")
    mixed = (y * np.uint32(73856093)) ^ (x * np.uint32(19349663)) ^ (c * np.uint32(83492791))
    noise = ((mixed * np.uint32(2654435761)) >> np.uint32(26)) & np.uint32(63)
    return ((x * 5 + y * 3 + c * 40 + noise) & np.uint32(255)).astype(np.uint8)


def centre(picture: Image.Image, height: int, width: int) -> Image.Image:
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def adm_crop(picture: Image.Image, size: int) -> Image.Image:
    while min(picture.size) >= 2 * size:
        picture = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BOX)
    scale = size / min(picture.size)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC)
    return centre(picture, size, size)


def edm_crop(picture: Image.Image, size: int) -> Image.Image:
    side = min(picture.size)
    return centre(picture, side, side).resize((size, size), Image.Resampling.LANCZOS)


RECIPES = {
    "adm-crop": adm_crop,
    "edm-crop": edm_crop,
    "box-squash": lambda picture, size: picture.resize((size, size), Image.Resampling.BOX),
    "lanczos-squash": lambda picture, size: picture.resize((size, size), Image.Resampling.LANCZOS),
}


def fnv(levels: bytes) -> str:
    """FNV-1a of 64 bits."""
    value = 0xCBF29CE484222325
    for byte in levels:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def main() -> None:
    cases = []
    for height, width in SIZES:
        source = Image.fromarray(picture(height, width))
        for name, recipe in RECIPES.items():
            for size in (64, 128, 256):
                levels = np.asarray(recipe(source, size))
                assert levels.shape == (size, size, 3)
                first = levels[0, :3].ravel().tolist()
                case = {"height": height, "width": width, "transform": name, "size": size, "first": first}
                cases.append(case | {"fnv1a": fnv(levels.tobytes())})
    tools = {"numpy": np.__version__, "pillow": PIL.__version__}
    lines = ",\n".join(json.dumps(case) for case in cases)
    Path(sys.argv[1]).write_text(f'{{"tools": {json.dumps(tools)}, "cases": [\n{lines}\n]}}\n')


main()
