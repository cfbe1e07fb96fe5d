"""What the networks of this repository were trained on, in the words of model.yaml and of the model card."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Described:
    """One bundle by name: the sentences that differ between networks of one architecture."""

    what: str  # of the first sentence of the card
    n_train: int
    training_data: str  # of model.yaml
    data: str
    precision: str
    limits: str
    licence: str


TESTED = """ The test
split was used for two things only: the epsilon errors below, and the choice among the last few checkpoints by them."""
UNCONDITIONAL = "without class conditioning"
BUNDLES = {
    "ddpm-cifar10-small": Described(
        what="A small denoising diffusion model of CIFAR-10 that runs on a CPU. It is here so that every experiment of this\n"
        "repository can be run by anyone in minutes; it is not a good image generator.",
        n_train=50_000,
        training_data="CIFAR-10 train split, 50000 images, horizontal flip",
        data="CIFAR-10 (Krizhevsky, 2009), train split, 50,000 images, flipped horizontally at random, scaled to [-1, 1]."
        + TESTED,
        precision="bf16 autocast for the first 179,200\n"
        "images; then f32, on another machine, from the average and with a new optimiser (`--start-from`).",
        limits="- Trained on two CPU cores for a small part of what published CIFAR-10 models are trained for. The sheet above shows\n"
        "  what that gives; its FID is not comparable with published ones.\n"
        "- 32x32 colour images of ten classes, without class conditioning.\n"
        "- An uncertainty estimate that works on this model may work less well on a better one.",
        licence="The authors of CIFAR-10 state no licence for the images; none are included here.",
    ),
    "ddpm-fashion-small": Described(
        what="A small denoising diffusion model of Fashion-MNIST that runs on a CPU: the network of `ddpm-cifar10-small` on images\n"
        "that are easy enough for its size. It is here so that every question can be asked of a weak and of a better network.",
        n_train=60_000,
        training_data="Fashion-MNIST train split, 60000 images, padded to 32x32, grey repeated to three channels, no flip",
        data="Fashion-MNIST (Xiao, Rasul, Vollgraf, arXiv:1708.07747), train split, 60,000 grey images of 28x28, two black pixels\n"
        "added on each side, the grey value in all three channels, scaled to [-1, 1], not mirrored: shoes point one way."
        + TESTED,
        precision="bf16 autocast. After 270,016 images the\n"
        "training went on from the average with a new optimiser (`--start-from`).",
        limits="- Trained on two CPU cores. The sheet above shows what that gives.\n"
        "- 28x28 grey images of ten classes of clothes in a black frame, without class conditioning. The three channels of an image\n"
        "  that is made are nearly, not exactly, equal.\n"
        "- FID of grey images under a feature network for colour photographs says less than on photographs.",
        licence="Fashion-MNIST is under the MIT licence (Zalando SE); none of its images are included here.",
    ),
}

# Networks of another shape, or with classes: what is said of the data holds for them too.
DATA_SETS = {
    "ddpm-cifar10-": replace(
        BUNDLES["ddpm-cifar10-small"],
        what="A denoising diffusion model of CIFAR-10.",
        precision="",
        limits=f"- 32x32 colour images of ten classes, {UNCONDITIONAL}.",
    ),
    "ddpm-fashion-": replace(
        BUNDLES["ddpm-fashion-small"],
        what="A denoising diffusion model of Fashion-MNIST.",
        precision="",
        limits=f"- 28x28 grey images of ten classes of clothes in a black frame, {UNCONDITIONAL}.",
    ),
}


def described(folder: Path, metadata: dict[str, str]) -> Described:
    """The description of a bundle folder: by its name, else by the data set in its name, and what its weights say."""
    name = folder.resolve().name
    found = BUNDLES.get(name) or next((of for prefix, of in DATA_SETS.items() if name.startswith(prefix)), None)
    if found is None:
        expected = ", ".join([*sorted(BUNDLES), *(f"{prefix}..." for prefix in DATA_SETS)])
        sys.exit(f"export: {folder}: no bundle of ours is called {name!r}: expected one of {expected}")
    n_classes = json.loads(metadata["config"]).get("n_classes")
    if n_classes is not None:
        found = replace(found, limits=found.limits.replace(UNCONDITIONAL, f"the network is told which of {n_classes}"))
    if not any(stage["flips"] for stage in json.loads(metadata.get("recipe", '[{"flips": true}]'))):
        data = found.data.replace(", flipped horizontally at random", "")
        found = replace(found, data=data, training_data=found.training_data.replace(", horizontal flip", ""))
    if metadata.get("measured_on", "test images") != "test images":
        found = replace(found, data=found.data.replace(TESTED, ""))
    return found
