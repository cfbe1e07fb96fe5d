"""Small networks with random weights: the cases of the parity tests, and the recipe that makes their weights, inputs
and masks again from a seed. `scripts/golden/import_networks.py` feeds the same to the reference implementations.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

# fmt: off
CASES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "adm-new": (
        "adm64",
        {"image_size": 16, "num_channels": 32, "num_res_blocks": 1, "channel_mult": "1,2", "attention_resolutions": "8",
         "num_head_channels": 16, "class_cond": True, "num_classes": 10, "learn_sigma": True, "resblock_updown": True,
         "use_new_attention_order": True, "dropout": 0.1, "noise_schedule": "cosine"},
    ),
    "adm-legacy": (
        "adm128",
        {"image_size": 16, "num_channels": 32, "num_res_blocks": 1, "channel_mult": "1,2", "attention_resolutions": "8",
         "num_heads": 4, "class_cond": True, "num_classes": 10, "learn_sigma": True, "resblock_updown": True},
    ),
    "adm-plain": (
        "adm64",
        {"image_size": 16, "num_channels": 32, "num_res_blocks": 2, "channel_mult": "1,2",
         "attention_resolutions": "16", "num_heads": 2, "num_heads_upsample": 4, "use_scale_shift_norm": False,
         "dropout": 0.3},
    ),
    "uvit-latent": (
        "uvit256",
        {"img_size": 8, "patch_size": 2, "in_chans": 4, "embed_dim": 32, "depth": 4, "num_heads": 4, "num_classes": 11,
         "classes": 10, "conv": False},
    ),
    "uvit-mlp": (
        "uvit256",
        {"img_size": 8, "patch_size": 4, "in_chans": 4, "embed_dim": 32, "depth": 3, "num_heads": 2, "mlp_ratio": 2,
         "mlp_time_embed": True, "qkv_bias": True, "conv": True},
    ),
    "uvit-no-skip": (
        "uvit512",
        {"img_size": 8, "patch_size": 2, "in_chans": 4, "embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 5,
         "conv": False, "skip": False},
    ),
    "unet2d-cifar": (
        "ddpm-cifar10-32",
        {"sample_size": 16, "block_out_channels": [32, 64], "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
         "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "layers_per_block": 1, "downsample_padding": 0,
         "flip_sin_to_cos": False, "freq_shift": 1, "attention_head_dim": None, "norm_eps": 1e-6, "dropout": 0.1,
         "attention_dropout": 0.2},
    ),
    "unet2d-classes": (
        "ddpm-cifar10-32",
        {"sample_size": 16, "block_out_channels": [32, 32], "down_block_types": ["AttnDownBlock2D", "DownBlock2D"],
         "up_block_types": ["UpBlock2D", "AttnUpBlock2D"], "layers_per_block": 2, "attention_head_dim": 8,
         "norm_num_groups": 16, "num_class_embeds": 7},
    ),
    "kl-compvis": ("autoencoder-kl", {"resolution": 16, "ch": 32, "ch_mult": [1, 2], "num_res_blocks": 1}),
    "kl-diffusers": ("autoencoder-kl", {"resolution": 16, "ch": 32, "ch_mult": [1, 2], "num_res_blocks": 1}),
}
# fmt: on
DATA = Path(__file__).parent / "data"
BATCH = 3


def generator(*key: object) -> np.random.Generator:
    """A stream of its own for each key."""
    return np.random.default_rng([zlib.crc32(str(part).encode()) for part in key])


def tensor(case: str, key: str, shape: tuple[int, ...]) -> np.ndarray:
    """A weight, f32. No layer is zero, and no layer makes values grow."""
    values = generator(case, key).standard_normal(shape, dtype=np.float32)
    if len(shape) > 1:
        return values / np.float32(math.sqrt(math.prod(shape[1:])))
    return 1 + values / 10 if key.endswith("weight") else values / 10


def weights(case: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """All weights of a network."""
    return {key: tensor(case, key, shapes[key]) for key in sorted(shapes)}


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of names, shapes and bytes."""
    sha = hashlib.sha256()
    for key in sorted(arrays):
        sha.update(f"{key} {arrays[key].shape}\n".encode())
        sha.update(np.ascontiguousarray(arrays[key], "<f4").tobytes())
    return sha.hexdigest()


def inputs(case: str, shape: tuple[int, ...], n_classes: int | None) -> dict[str, np.ndarray]:
    """`sample`, `timestep` and perhaps `label`; times at both ends and between."""
    feeds = {
        "sample": generator(case, "sample").standard_normal((BATCH, *shape), dtype=np.float32),
        "timestep": np.array([0, 999, 421], np.int64)[:BATCH],
    }
    if n_classes is not None:
        feeds["label"] = np.array([0, n_classes - 1, n_classes // 2], np.int64)[:BATCH]
    return feeds


def cotangent(case: str, shape: tuple[int, ...]) -> np.ndarray:
    """What J^T is applied to."""
    return generator(case, "cotangent").standard_normal((BATCH, *shape), dtype=np.float32)


def mask(case: str, site: int, shape: tuple[int, ...]) -> np.ndarray:
    """Mask of one dropout site for the batch, u8, about half of it kept."""
    return (generator(case, "mask", site).random((BATCH, *shape)) < 0.5).astype(np.uint8)


def file_tensors() -> dict[str, np.ndarray]:
    """Values of the state dicts that `scripts/golden/import_files.py` writes; all of them are exact in bfloat16."""
    shapes = {"matrix": (3, 4), "transposed": (4, 2), "first": (5,), "second": (5,), "scalar": (), "empty": (0, 3)}
    arrays = {}
    for index, (name, shape) in enumerate({**shapes, "half": (2, 3), "brain": (3,)}.items()):
        arrays[name] = (index + np.arange(math.prod(shape), dtype=np.float32) / 4).reshape(shape)
    return {**arrays, "count": np.array(7, np.int64)}


def safetensors(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A safetensors file, written by hand."""
    header, place, parts = {}, 0, []
    for key, values in arrays.items():
        kind = {"float32": "F32", "float16": "F16", "float64": "F64"}[values.dtype.name]
        header[key] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [place, place + values.nbytes]}
        place += values.nbytes
        parts.append(np.ascontiguousarray(values).tobytes())
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(parts)
