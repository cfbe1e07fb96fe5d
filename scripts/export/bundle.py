"""Make a whole bundle from a training folder: best checkpoint, graphs, model.yaml, sample sheet, log, card.

    python scripts/export/bundle.py --from FOLDER experiments/models/ddpm-cifar10-small

The best of the kept `ema-*.safetensors` is the one with the lowest mean epsilon error on test images, as the trainer
stored it; `--checkpoint` takes another. Run parity.py --record afterwards, then card.py, to put the parity into the
card.
"""

import argparse
import json
import sys
from pathlib import Path

import card
import sample_sheet
from export import WEIGHTS, add_time, add_weights, export, put_weights
from weights import Weights, WeightsError, read_header


def mean_epsilon_mse(weights: Weights) -> float:
    """Mean over timesteps of the epsilon error that the trainer stored with the weights."""
    errors = json.loads(weights.metadata["epsilon_mse"])
    return sum(errors.values()) / len(errors)


def best_checkpoint(folder: Path) -> Path:
    """The EMA checkpoint with the lowest epsilon error."""
    errors = {path: mean_epsilon_mse(read_header(path)) for path in sorted(folder.glob("ema-*.safetensors"))}
    if not errors:
        sys.exit(f"bundle: no ema-*.safetensors in {folder}: train first (scripts/train/README.md)")
    for path, error in errors.items():
        print(f"{path.name}: epsilon error {error:.5f}")
    return min(errors, key=errors.__getitem__)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="bundle folder")
    parser.add_argument("--from", dest="source", type=Path, required=True, help="folder of the training run")
    parser.add_argument("--checkpoint", type=Path, help="take this EMA file instead of the best")
    text = "log of the training that this one began with: train_log.csv of that bundle"
    parser.add_argument("--log-before", type=Path, action="append", default=[], metavar="CSV", help=text)
    add_weights(parser)
    parser.add_argument("--threads", type=int, default=1, help="threads for the sample sheet")
    add_time(parser)
    arguments = parser.parse_args()
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    try:
        checkpoint = arguments.checkpoint or best_checkpoint(arguments.source)
        print(f"taking {checkpoint.name}")
        put_weights(folder, checkpoint, half=arguments.weights == "half")
        export(folder, fid="null", time=arguments.time)
    except (WeightsError, OSError) as error:
        sys.exit(f"bundle: {error}")
    sample_sheet.draw(folder, seed=0, n_threads=arguments.threads)
    card.write(folder, [*arguments.log_before, arguments.source / "log.csv"], fid=None)


if __name__ == "__main__":
    main()
