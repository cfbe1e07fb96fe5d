"""Holds what a network claims against what a checkpoint has: every key used once, every shape right, floats only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from setup.errors import SetupError, bad_input

from .checkpoint import Checkpoint
from .graph import Claim

_N_SHOWN = 3
_REMEDY = "give the checkpoint of this architecture, or the sizes of this one by --config"
# A key that only this architecture has.
_MARKS = {
    "label_emb.weight and input_blocks: ADM (guided-diffusion)": "input_blocks.0.0.weight",
    "in_blocks and pos_embed: U-ViT": "in_blocks.0.norm1.weight",
    "down_blocks: a UNet2DModel of diffusers": "down_blocks.0.resnets.0.norm1.weight",
    "encoder.down: a KL autoencoder (CompVis)": "encoder.down.0.block.0.norm1.weight",
    "encoder.down_blocks: a KL autoencoder (diffusers)": "encoder.down_blocks.0.resnets.0.norm1.weight",
    "model.diffusion_model: a whole Stable Diffusion": "model.diffusion_model.input_blocks.0.0.weight",
}


def match(claims: Mapping[str, Claim], checkpoint: Checkpoint, *, what: str, half: bool) -> None:
    """Raises `SetupError` (`INPUT`) that names missing keys, surplus keys, wrong shapes or wrong types."""
    tensors, path = checkpoint.tensors, checkpoint.path
    missing = [key for key in claims if key not in tensors]
    surplus = [key for key in tensors if key not in claims]
    if missing or surplus:
        raise _strangers(path, what, (missing, surplus), tensors)
    shapes = [
        f"{key} is {list(tensors[key].shape)}, expected {list(claim.shape)}"
        for key, claim in claims.items()
        if tensors[key].shape != claim.shape
    ]
    if shapes:
        raise bad_input(f"{path} does not fit {what}: {_few(shapes)}", _REMEDY)
    _check_types(checkpoint, half=half)


def _strangers(path: object, what: str, keys: tuple[list[str], list[str]], tensors: Mapping[str, object]) -> SetupError:
    missing, surplus = keys
    parts = []
    if missing:
        parts.append(f"lacks {len(missing)} of the keys: {_few(missing)}")
    if surplus:
        parts.append(f"has {len(surplus)} keys that the network does not know: {_few(surplus)}")
    looks = next((f" (it has {name})" for name, mark in _MARKS.items() if mark in tensors), "") if missing else ""
    return bad_input(f"{path} does not fit {what}: it {' and '.join(parts)}{looks}", _REMEDY)


def _check_types(checkpoint: Checkpoint, *, half: bool) -> None:
    allowed = ("float32", "float16") if half else ("float32",)
    others = {key: tensor.dtype for key, tensor in checkpoint.tensors.items() if tensor.dtype not in allowed}
    if not others:
        return
    key, dtype = next(iter(others.items()))
    message = (
        f"{checkpoint.path}: {len(others)} of {len(checkpoint.tensors)} tensors are no {allowed[0]}: {key} is {dtype}"
    )
    if dtype == "float16":
        raise bad_input(
            message, "give the float32 checkpoint, or say --half or --weights half to make a bundle of rounded weights"
        )
    raise bad_input(message, "give a checkpoint saved in float32")


def _few(items: Iterable[str]) -> str:
    items = list(items)
    more = f", and {len(items) - _N_SHOWN} more" if len(items) > _N_SHOWN else ""
    return ", ".join(items[:_N_SHOWN]) + more
