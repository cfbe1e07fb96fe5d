"""Put the pieces of an average back together, in f32: `python scripts/train/join.py OUT/ema-150000 weights.safetensors`.

Takes `NAME.00`, `NAME.01`, ... as `timed.py` writes them. The result is what `scripts/export/bundle.py --checkpoint` and,
for `ddpm-cifar10-32`, `just import` take.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from safetensors.torch import load, save


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pieces", type=Path, help="path of the pieces without their number")
    parser.add_argument("weights", type=Path, help="file to write")
    arguments = parser.parse_args()
    pieces = sorted(arguments.pieces.parent.glob(f"{arguments.pieces.name}.[0-9][0-9]"))
    if [piece.suffix for piece in pieces] != [f".{number:02d}" for number in range(len(pieces))] or not pieces:
        sys.exit(f"join: {[piece.name for piece in pieces]} of {arguments.pieces}: one is missing, copy all of them")
    blob = b"".join(piece.read_bytes() for piece in pieces)
    header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
    weights = {name: value.float() for name, value in load(blob).items()}
    partial = arguments.weights.with_name(f".{arguments.weights.name}.{os.getpid()}")
    partial.write_bytes(save(weights, header.get("__metadata__", {})))
    partial.replace(arguments.weights)
    print(f"{arguments.weights}: {len(weights)} tensors, {header['__metadata__']['images_seen']} images seen")


if __name__ == "__main__":
    main()
