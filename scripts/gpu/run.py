"""The commands of `run.sh`: pack, keep, train, prove, fetch."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pack
import pieces
import prove
import train
from steps import Steps

BOX = Path.home() / ".dubench-gpu"
# Less than the 64 and 16 MiB of the doors: the scripts of this tree travel with every piece.
PIECE_IN, PIECE_OUT = 60 << 20, 15 << 20


def _keep(arguments: argparse.Namespace) -> int:
    missing = pieces.keep(arguments.piece, arguments.box)
    print(f"{arguments.piece.name} is here; {', '.join(missing) or 'nothing'} is missing")
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    names = pieces.together(arguments.out, arguments.folder)
    print(f"{len(names)} files in {arguments.folder}, as they were written there")
    return 0


def _work(arguments: argparse.Namespace) -> int:
    steps = Steps(arguments.out, arguments.seconds)
    arguments.work(steps, arguments)
    pieces.small_enough(arguments.out, PIECE_OUT)
    print(f"{sum(note['ok'] for note in steps.notes)} of {len(steps.notes)} steps did what they should: {arguments.out}")
    return 0 if steps.all_ok() else 1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    whole = argparse.ArgumentParser(prog="run.sh", description=__doc__)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("pack", help="here: what the machine needs, in pieces")
    command.add_argument("what", choices=["train", "prove"])
    command.add_argument("folder", type=Path, help="new folder of the pieces")
    command.add_argument("--limit", type=int, default=PIECE_IN, metavar="BYTES", help="length of a piece")
    pack.options(command)
    command.set_defaults(run=pack.run)
    command = commands.add_parser("keep", help="there: put a piece aside")
    command.add_argument("piece", type=Path)
    command.add_argument("--box", type=Path, default=BOX, help="where pieces are kept there")
    command.set_defaults(run=_keep)
    for name, module in (("train", train), ("prove", prove)):
        command = commands.add_parser(name, help=f"there: {module.__doc__.splitlines()[0]}")
        command.add_argument("out", type=Path, help="folder of what goes back")
        command.add_argument("--box", type=Path, default=BOX, help="where pieces are kept there")
        command.add_argument("--seconds", type=float, default=570.0, help="of the whole command")
        command.add_argument("--stand-in", action="store_true", help="rehearse: the CPU in the place of the GPU")
        module.options(command)
        command.set_defaults(run=_work, work=module.run)
    command = commands.add_parser("fetch", help="here: check and put together what came back")
    command.add_argument("out", type=Path)
    command.add_argument("folder", type=Path)
    command.set_defaults(run=_fetch)
    return whole


def main() -> int:
    """Runs the command line; returns the exit code."""
    arguments = parser().parse_args()
    return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
