"""What the exported graphs compute, without torch: whole steps, times between them, classes, and the words of the card.

    scripts/checks/python.sh scripts/export/test_export.py

Expected values are closed forms: a network whose last layer has no weights predicts its bias, so that
epsilon = a bias + s x, with a and s by interpolating ln(s / a) in f64.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import recipe_text
from ddpm_small import alpha_bar
from export import export
from feeds import epsilon
from weights import WeightsError, read_header

SHIPPED = Path(__file__).resolve().parents[2] / "experiments/models/ddpm-cifar10-small"
BIAS = 0.5


def bundle(folder: Path, time: str, edit: Callable[[dict, dict], None] | None = None) -> ort.InferenceSession:
    """The graph of the shipped weights, or of weights that `edit` makes of their config and arrays."""
    target = folder / f"{len(list(folder.iterdir()))}" / "ddpm-cifar10-small"
    target.mkdir(parents=True)
    weights = read_header(SHIPPED / "weights.safetensors")
    if edit is None:
        shutil.copy(weights.path, target)
    else:
        config, arrays = json.loads(weights.metadata["config"]), {name: weights.array(name) for name in weights.tensors}
        edit(config, arrays)
        header, at = {"__metadata__": {**weights.metadata, "config": json.dumps(config)}}, 0
        for name, array in arrays.items():
            header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [at, at + array.nbytes]}
            at += array.nbytes
        head = json.dumps(header).encode()
        body = b"".join(array.astype("<f4").tobytes() for array in arrays.values())
        (target / "weights.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + body)
    export(target, fid="null", time=time)
    return ort.InferenceSession(str(target / "denoiser.onnx"), providers=["CPUExecutionProvider"])


def images(n: int) -> np.ndarray:
    """Noise [n, 3, 32, 32]."""
    return np.random.default_rng(0).standard_normal((n, 3, 32, 32), dtype=np.float32)


def whole_steps_have_the_same_bits(folder: Path) -> None:
    """A graph of f32 times, which is the one that ships, is at whole steps the graph of i64 times."""
    whole, real = bundle(folder, "int64"), bundle(folder, "float32")
    x, timestep = images(6), np.array([0, 1, 20, 333, 998, 999])
    assert np.array_equal(epsilon(whole, x, timestep, None), epsilon(real, x, timestep, None))
    for name in ("denoiser.onnx", "denoiser_train.onnx", "model.yaml"):
        made = (folder / "1/ddpm-cifar10-small" / name).read_bytes()
        assert made == (SHIPPED / name).read_bytes(), f"{name} is not the one that ships"


def without_weights(_: dict, arrays: dict) -> None:
    """v is BIAS everywhere."""
    arrays["out_conv.weight"], arrays["out_conv.bias"] = 0 * arrays["out_conv.weight"], np.full(12, BIAS, np.float32)


def between_steps_the_log_ratio_is_interpolated(folder: Path) -> None:
    """epsilon = a bias + s x to f32 rounding, also where a is 0.006 and where s is 0.01."""
    x, timestep = images(6), np.float32([0.25, 7.5, 333.3, 751.4, 998.9, 999.0])
    abar = alpha_bar()
    log_ratio = np.interp(timestep.astype(np.float64), np.arange(1000), 0.5 * np.log((1 - abar) / abar))
    a, s = (1 / np.sqrt(1 + np.exp(sign * 2 * log_ratio))[:, None, None, None] for sign in (1, -1))
    found = epsilon(bundle(folder, "float32", without_weights), x, timestep, None)
    np.testing.assert_allclose(found, a * BIAS + s * x, rtol=0, atol=1e-6)


def classes(scale: float) -> Callable[[dict, dict], None]:
    """Ten classes, whose rows are noise of this scale; that of "none" is zero."""

    def edit(config: dict, arrays: dict) -> None:
        config["n_classes"] = 10
        rows = np.random.default_rng(1).standard_normal((11, 256), dtype=np.float32) * scale
        rows[10] = 0
        arrays["label.weight"] = rows

    return edit


def a_label_is_a_row_of_the_table(folder: Path) -> None:
    """"None" is the network without classes, to the bit; each other label moves its image and no other."""
    plain, told = bundle(folder, "int64"), bundle(folder, "int64", classes(1.0))
    x, timestep, none = images(4), np.full(4, 500), np.full(4, 10)
    without = epsilon(plain, x, timestep, None)
    assert np.array_equal(epsilon(told, x, timestep, none), without)
    some = epsilon(told, x, timestep, np.array([10, 3, 10, 7]))
    same = [np.array_equal(one, other) for one, other in zip(some, without, strict=True)]
    assert same == [True, False, True, False], same
    yaml = (folder / "1/ddpm-cifar10-small/model.yaml").read_text()
    assert "classes: 10" in yaml and "y: label" in yaml and "cfg: {null: {label: 10}}" in yaml, yaml


def a_table_of_other_rows_is_refused(folder: Path) -> None:
    """The last row is "none", so ten classes are eleven rows."""

    def edit(config: dict, arrays: dict) -> None:
        classes(1.0)(config, arrays)
        arrays["label.weight"] = arrays["label.weight"][:10]

    try:
        bundle(folder, "int64", edit)
    except WeightsError as error:
        assert "the table has 10 rows, expected 11" in str(error), error
    else:
        raise AssertionError("ten rows were taken for ten classes and none")


def the_card_says_every_recipe(_: Path) -> None:
    """A line for each recipe that the weights have seen, in order; the first trainer's text where they say nothing."""
    first = {"loss_weights": "min-snr", "learning_rate": 4e-4, "dropout": 0.1, "flips": True, "batch": 64, "precision": "f32"}
    stages = [{"after_images": 0, **first}, {"after_images": 1_020_032, **first, "loss_weights": "v", "flips": False}]
    text = recipe_text.text({"recipe": json.dumps(stages), "half_life": "150000"}, "", "in float32")
    assert "| 0 | min-snr | 0.0004 | 0.1 | mirrored at random | 64 | f32 |\n| 1,020,032 | v |" in text, text
    assert "half-life of 150,000 images" in text and "as they are" in text, text
    assert recipe_text.text({}, "In bf16.", "in float32").startswith("The first version of `scripts/train/train.py` at its defaults.")


def main() -> None:
    """All of them."""
    tests = [whole_steps_have_the_same_bits, between_steps_the_log_ratio_is_interpolated, a_label_is_a_row_of_the_table]
    for test in [*tests, a_table_of_other_rows_is_refused, the_card_says_every_recipe]:
        with tempfile.TemporaryDirectory() as name:
            test(Path(name))
        print(f"ok {test.__name__}", file=sys.stderr)


if __name__ == "__main__":
    main()
