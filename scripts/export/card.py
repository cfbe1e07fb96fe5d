"""Write MODEL_CARD.md and the thinned train_log.csv of a bundle from what the trainer stored.

    python scripts/export/card.py experiments/models/ddpm-cifar10-small --log FOLDER/log.csv --fid "41.2 ± 0.3 (...)"

Figures come from the metadata of weights.safetensors, the trainer's log and parity.json (written by parity.py
--record); the FID is passed by hand, from the harness's own report.
"""

import argparse
import csv
import hashlib
import json
import math
from pathlib import Path

import onnx
import recipe_text
from described import described
from weights import STORED_FROM, Weights, read_header

N_LOG_ROWS = 120
NO_FID = "not measured yet: filled in from the harness's report"
CARD = """\
# {name}

{described.what}

![64 samples, DDIM, 50 steps, seed 0, none picked](samples.png)

| | |
| --- | --- |
| network | DDPM U-Net behind a 2x2 space-to-depth stem; widths {widths} at 16x16, 8x8, 4x4 |
| parameters | {n_parameters:.2f} M |
| inputs | `sample` f32 [batch, 3, 32, 32], an image in [-1, 1] with noise; `timestep` {time} [batch], {times}{label} |
| output | `eps` f32 [batch, 3, 32, 32] |
| noise schedule | linear betas 1e-4 to 0.02, T = 1000 |
| images seen in training | {images_seen:,} ({epochs:.1f} epochs) |
| training time | {hours:.2f} h on {trained_on}, {speed:.0f} images/s on average |
| epsilon error on {measured_on} | {epsilon_mse:.4f} (mean squared, mean over t = 25, 75 .. 975) |
| FID | <!-- FID --> {fid} |
| parity with torch | {parity} |
| weights | SHA-256 `{sha256}` |

## Data
{described.data}

## Recipe
{recipe}

The exported graphs turn v into epsilon: eps = a_t v + s_t x_t, a_t = sqrt(alpha_bar_t), s_t = sqrt(1 - alpha_bar_t).
`denoiser_train.onnx` is the same network with its Dropout nodes active, for MC-Dropout. Both graphs refer to the bytes
of `weights.safetensors` and must lie beside it.

## Training
{history}

The whole log, thinned: `train_log.csv`.

## Epsilon error by timestep
Mean squared error of epsilon on {each}, fixed noise. Predicting 0 scores 1.0.

{by_timestep}

## Limits
{described.limits}

## Licence
Weights and code: MIT OR Apache-2.0. {described.licence}
"""


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def history(rows: list[dict[str, str]]) -> str:
    """About ten evaluated points of the log, the last included."""
    evaluated = [row for row in rows if row["epsilon_mse"]]
    stride = max(1, math.ceil(len(evaluated) / 10))
    picked = evaluated[::-1][::stride][::-1]
    cells = [
        [f"{int(r['images']):,}", f"{float(r['seconds']) / 60:.0f}", r["loss"], f"{float(r['epsilon_mse']):.4f}"]
        for r in picked
    ]
    return table(["images seen", "minutes", "training loss", "epsilon error (average of weights)"], cells)


def thin(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """At most about N_LOG_ROWS rows of the log; evaluated ones are kept first."""
    spare = max(1, N_LOG_ROWS - sum(bool(row["epsilon_mse"]) for row in rows))
    stride = math.ceil(len(rows) / spare)
    return [row for index, row in enumerate(rows) if row["epsilon_mse"] or index % stride == 0]


def parity(folder: Path, sha256: str) -> str:
    """Result of parity.py, if it was for these weights."""
    path = folder / "parity.json"
    record = json.loads(path.read_text()) if path.exists() else {}
    if record.get("weights_sha256") != sha256:
        return "not measured for these weights"
    return (
        f"epsilon within {record['largest_difference']:.1e} at a scale of {record['scale']:.1f} "
        f"(torch {record['torch']}, ONNX Runtime {record['onnxruntime']}); bits independent of batch and threads"
    )


def inputs(folder: Path, n_classes: int | None) -> dict[str, str]:
    """What the graph takes beside the image, in the words of the card."""
    ports = onnx.load(str(folder / "denoiser.onnx"), load_external_data=False).graph.input
    whole = next(port for port in ports if port.name == "timestep").type.tensor_type.elem_type == onnx.TensorProto.INT64
    label = "" if n_classes is None else f"; `label` int64 [batch], 0..{n_classes - 1}, {n_classes} for none"
    time, times = ("int64", "0..999") if whole else ("f32", "0 to 999, between two steps too")
    return {"time": time, "times": times, "label": label}


def card(weights: Weights, rows: list[dict[str, str]], fid: str) -> str:
    """Text of MODEL_CARD.md."""
    metadata, config = weights.metadata, json.loads(weights.metadata["config"])
    images, seconds = int(metadata["images_seen"]), int(metadata["train_seconds"])
    errors = json.loads(metadata["epsilon_mse"])
    sha256 = hashlib.sha256(weights.path.read_bytes()).hexdigest()
    folder = weights.path.resolve().parent
    words, measured_on = described(folder, metadata), metadata.get("measured_on", "test images")
    return CARD.format(
        name=folder.name,
        described=words,
        recipe=recipe_text.text(metadata, words.precision, stored(weights)),
        **inputs(folder, config.get("n_classes")),
        trained_on=metadata.get("trained_on", "two shared CPU cores"),
        measured_on=measured_on,
        each="25 test images a timestep" if measured_on == "test images" else measured_on,
        widths=", ".join(str(config["width"] * m) for m in config["multipliers"]),
        n_parameters=sum(math.prod(t.shape) for t in weights.tensors.values()) / 1e6,
        images_seen=images,
        epochs=images / words.n_train,
        hours=seconds / 3600,
        speed=images / seconds,
        epsilon_mse=sum(errors.values()) / len(errors),
        fid=fid,
        parity=parity(folder, sha256),
        sha256=sha256,
        history=history(rows),
        by_timestep=table(["t", "error"], [[t, f"{error:.5f}"] for t, error in errors.items()]),
    )


def stored(weights: Weights) -> str:
    """In which precision the weights ship."""
    if all(tensor.dtype == "F32" for tensor in weights.tensors.values()):
        return "in float32"
    source = weights.metadata[STORED_FROM]
    return f"rounded to float16 and computed with in float32 (from float32 weights of SHA-256 `{source[:12]}`)"


def read_logs(logs: list[Path]) -> dict[int, dict[str, str]]:
    """Rows by images seen, the later ones of a row that a resumed run repeats."""
    latest = {}
    for log in logs:
        with log.open(newline="") as file:
            latest |= {int(row["images"]): row for row in csv.DictReader(file)}
    return latest


def write(folder: Path, logs: list[Path], fid: str | None) -> None:
    """Write the card into the bundle, and the log if it comes from elsewhere: `logs` of one training, in order."""
    weights, latest = read_header(folder / "weights.safetensors"), read_logs(logs)
    n_seen = int(weights.metadata["images_seen"])
    rows = [latest[images] for images in sorted(latest) if images <= n_seen]
    (folder / "MODEL_CARD.md").write_text(card(weights, rows, fid or NO_FID))
    if [log.resolve() for log in logs] == [(folder / "train_log.csv").resolve()]:
        return  # thinned already
    with (folder / "train_log.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[-1]), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(thin(rows))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="bundle folder")
    parser.add_argument("--log", type=Path, action="append", help="log.csv of the trainer; again for several of one training, in order")
    parser.add_argument("--fid", help="FID with its error, n and reference, as the card should say it")
    arguments = parser.parse_args()
    write(arguments.folder, arguments.log or [arguments.folder / "train_log.csv"], arguments.fid)


if __name__ == "__main__":
    main()
