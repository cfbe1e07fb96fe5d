"""`just import-starts X_T.pth y.pth -o starts.npz`: starting points of the released code, as an experiment takes them.

The released code keeps, for each data set, a tensor of 61,000 standard normal states and one of as many classes, drawn behind it from
the same generator. All of its methods take the same rows of them.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from setup.errors import SetupError, bad_input, usage

from .checkpoint import open_checkpoint

_WHOLE = ("int64", "int32", "int16", "uint8", "int8")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="just import-starts",
        description="Turns tensors of starting points into an .npz for `starts: {path: FILE}`, without torch.",
        epilog="Exit codes: 0 written, 2 options, 3 a file does not fit, 5 it is damaged, 7 disk or memory.",
    )
    parser.add_argument("states", type=Path, metavar="X_T", help="file of one tensor [n, c, h, w]")
    parser.add_argument("classes", type=Path, nargs="?", metavar="Y", help="file of one tensor [n] of whole numbers")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.npz")
    parser.add_argument("-n", type=int, help="take the first of them alone")
    return parser


def one_tensor(path: Path, rank: int, kinds: tuple[str, ...]) -> np.ndarray:
    """The only tensor of a file.

    Raises `SetupError` (bad input) for several of them, and for one of another type or number of axes.
    """
    tensors = open_checkpoint(path).tensors
    if len(tensors) != 1:
        raise bad_input(f"{path} holds {len(tensors)} tensors, expected one", "save it alone: torch.save(X_T, FILE)")
    (tensor,) = tensors.values()
    if tensor.dtype not in kinds or len(tensor.shape) != rank:
        what = f"{path} is {tensor.dtype} {list(tensor.shape)}"
        raise bad_input(f"{what}, expected {' or '.join(kinds)} of {rank} axes", "give the tensor of starting points")
    return tensor.read()


def write(options: argparse.Namespace) -> str:
    """Writes the file; returns what is in it.

    Raises `SetupError`.
    """
    if options.output.exists():
        raise usage(f"{options.output} is there already", "choose another name, or move it aside")
    states = one_tensor(options.states, 4, ("float32",))[: options.n]
    arrays = {"x_T": np.ascontiguousarray(states, "<f4")}
    if not np.isfinite(arrays["x_T"]).all():
        raise bad_input(f"{options.states} holds values that are not finite", "fetch it again")
    if options.classes is not None:
        classes = one_tensor(options.classes, 1, _WHOLE)[: options.n]
        if len(classes) != len(states) or (classes < 0).any():
            what = f"{options.classes} has {len(classes)} classes from {classes.min(initial=0)}"
            raise bad_input(f"{what}, {options.states} has {len(states)} states", "give the two of one data set")
        arrays["y"] = classes.astype("<i8")
    partial = options.output.with_name(f".{options.output.name}.{os.getpid()}.partial")
    try:
        with partial.open("xb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(options.output)
    finally:
        partial.unlink(missing_ok=True)
    spread = float(arrays["x_T"].std(dtype=np.float64))
    return f"{options.output}: " + ", ".join(f"{k} {list(v.shape)}" for k, v in arrays.items()) + f", sd {spread:.4f}"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        print(write(options))
    except SetupError as error:
        print(f"import-starts: {error}", file=sys.stderr)
        return error.exit_code
    except (OSError, MemoryError) as error:
        print(f"import-starts: {options.output}: {error}", file=sys.stderr)
        return 7
    return 0


if __name__ == "__main__":
    sys.exit(main())
