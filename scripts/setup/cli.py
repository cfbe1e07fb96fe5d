"""Command line of the set-up: `scripts/setup.sh [cpu|cuda|openvino] [--only NAME] [--verify]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import cache, install, pins
from .errors import SetupError, bad_input, from_os_error

_ASSETS = Path(__file__).resolve().parents[2] / "experiments" / "assets.yaml"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/setup.sh",
        description="Puts the data, networks and libraries pinned in experiments/assets.yaml into the cache.",
        epilog="Cache folder: $DUBENCH_CACHE, else the platform's. Exit codes: 0 ready, 2 usage, 3 malformed list of "
        "pins, 5 wrong hash, 7 network, disk or a tool is missing.",
    )
    parser.add_argument(
        "device", nargs="?", choices=pins.DEVICES, default="cpu", help="which ONNX Runtime (default: cpu)"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="prepare only this asset; repeatable"
    )
    parser.add_argument("--verify", action="store_true", help="hash the finished files again, build nothing")
    parser.add_argument("--list", action="store_true", help="print every asset with version and licence, do nothing")
    parser.add_argument("--where", metavar="NAME", help="print the path of an asset's first file, do nothing")
    parser.add_argument("--assets", type=Path, default=_ASSETS, help=argparse.SUPPRESS)
    return parser


def _check_builders(assets: list[pins.Asset]) -> None:
    for asset in assets:
        if asset.build not in install.BUILDERS:
            raise bad_input(
                f"asset {asset.name} asks for the build rule {asset.build!r}",
                f"use one of {', '.join(install.BUILDERS)}",
            )


def _run(arguments: argparse.Namespace) -> None:
    assets = pins.load(arguments.assets)
    _check_builders(assets)
    if arguments.list:
        for asset in assets:
            print("\t".join((asset.name, asset.version, asset.platform or "any", asset.licence)))
        return
    root = cache.cache_root()
    if arguments.where is not None:
        (asset,) = pins.select(assets, arguments.device, [arguments.where], pins.this_platform())
        print(root / asset.outputs[0].path)
        return
    root.mkdir(parents=True, exist_ok=True)
    chosen = pins.select(assets, arguments.device, arguments.only, pins.this_platform())
    for asset in chosen:
        if arguments.verify:
            install.verify(asset, root)
        else:
            install.ensure(asset, root)
    names = ", ".join(f"{asset.name} {asset.version}" for asset in chosen)
    print(f"setup: {'verified' if arguments.verify else 'ready'} in {root}: {names}", file=sys.stderr)


def main() -> int:
    """Runs the command line; returns the exit code."""
    arguments = _parser().parse_args()
    try:
        _run(arguments)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        failure = from_os_error(error)
        print(f"setup: {failure}", file=sys.stderr)
        return failure.exit_code
    except KeyboardInterrupt:
        print("setup: interrupted, run the same command again to go on", file=sys.stderr)
        return 75
    return 0
