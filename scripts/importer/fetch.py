"""Command line of `scripts/fetch-checkpoints`: published checkpoints, from the addresses of their authors.

Why is no hash pinned? Nobody here has seen these files. The hash of the first download goes into a lock file beside
it (`checkpoints.lock`), and every later use is held against that.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from setup.cache import cache_root, digest, require_space
from setup.errors import SetupError, from_os_error, integrity, resources

LOCK = "checkpoints.lock"
_N_ATTEMPTS = 3
_TIMEOUT_SECONDS = 60
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Published:
    """A file that its authors publish."""

    url: str
    file: str
    megabytes: int  # about
    licence: str
    command: str


_ADM = "https://openaipublic.blob.core.windows.net/diffusion/jul-2021"
_DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="
_MIT = "MIT (repository of the authors)"
# fmt: off
PUBLISHED = {
    "adm64": Published(f"{_ADM}/64x64_diffusion.pt", "64x64_diffusion.pt", 1184, _MIT, "adm64 {file}"),
    "adm128": Published(f"{_ADM}/128x128_diffusion.pt", "128x128_diffusion.pt", 1686, _MIT, "adm128 {file}"),
    "uvit256": Published(
        f"{_DRIVE}13StUdrjaaSXjfqqF7M47BzPyhMAArQ4u", "imagenet256_uvit_huge.pth", 2003, _MIT,
        "uvit256 {file} --autoencoder {folder}/autoencoder_kl_ema.pth",
    ),
    "uvit512": Published(
        f"{_DRIVE}1uegr2o7cuKXtf2akWGAN2Vnlrtw5YKQq", "imagenet512_uvit_huge.pth", 2004, _MIT,
        "uvit512 {file} --autoencoder {folder}/autoencoder_kl_ema.pth",
    ),
    "autoencoder-kl": Published(
        f"{_DRIVE}10nbEiFd4YCHlzfTkJjZf45YcSMCN34m6", "autoencoder_kl_ema.pth", 335,
        "CreativeML Open RAIL-M (Stable Diffusion, where it comes from)", "autoencoder-kl {file}",
    ),
    "ddpm-cifar10-32": Published(
        "https://huggingface.co/google/ddpm-cifar10-32/resolve/main/diffusion_pytorch_model.safetensors",
        "ddpm-cifar10-32.safetensors", 143, "Apache-2.0 (page of the model)", "ddpm-cifar10-32 {file}",
    ),
}
# fmt: on


@dataclass(frozen=True)
class Exported:
    """A text-to-image pipeline, or a model for its pictures, which Optimum fetches and exports by itself."""

    model: str
    folder: str  # below experiments/models/
    gigabytes: float  # about, as ONNX
    licence: str
    note: str = ""

    def command(self) -> str:
        """The one command that does both."""
        return f"optimum-cli export onnx --model {self.model} experiments/models/{self.folder}"


_RAIL = "CreativeML Open RAIL-M"
PIPELINES = {
    "sd15": Exported("stable-diffusion-v1-5/stable-diffusion-v1-5", "stable-diffusion-v1-5", 4.3, _RAIL),
    "sd21": Exported("stabilityai/stable-diffusion-2-1", "stable-diffusion-2-1", 5.3, _RAIL.replace("Open", "Open++")),
    "sdxl": Exported(
        "stabilityai/stable-diffusion-xl-base-1.0", "stable-diffusion-xl-base-1.0", 13.9, _RAIL.replace("Open", "Open++")
    ),
    "sd3": Exported(
        "stabilityai/stable-diffusion-3-medium-diffusers", "stable-diffusion-3-medium", 31.0,
        "Stability AI Community License (to be accepted at the page of the model)",
        "without T5 (19 of the 31 GB), as the paper has it: set text_encoder_3 and tokenizer_3 of model_index.json to [null, null]",
    ),
    "clip": Exported(
        "openai/clip-vit-base-patch16", "clip-vit-base-patch16", 0.6, "MIT",
        "a CLIP score beside each pair: features: {kind: clip, path: models/clip-vit-base-patch16} in the experiment",
    ),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/fetch-checkpoints",
        description="Fetches published checkpoints from the addresses of their authors, and prints how to import them.",
        epilog="Exit codes: 0 there, 2 options, 5 other bytes than at first use, 7 network, disk or a tool.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*PUBLISHED, *PIPELINES]))
    parser.add_argument("--list", action="store_true", help="print address, size and licence of each, fetch nothing")
    parser.add_argument(
        "--folder", type=Path, help="where files and lock go (default: checkpoints in the cache folder)"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    known = [*PUBLISHED, *PIPELINES]
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"there is no {unknown[0]}: use {', '.join(known)}")
    if options.list or not options.names:
        for name, each in PUBLISHED.items():
            print(f"{name}\t{each.file}\tabout {each.megabytes} MB\t{each.licence}\t{each.url}")
        for name, pipeline in PIPELINES.items():
            print(f"{name}\t{pipeline.folder}/\tabout {pipeline.gigabytes} GB\t{pipeline.licence}\t{pipeline.model}")
        return 0
    folder = options.folder or cache_root() / "checkpoints"
    try:
        for name in options.names:
            if name in PIPELINES:
                # Optimum fetches and converts in one go: nothing is fetched here.
                print(PIPELINES[name].command())
                if PIPELINES[name].note:
                    print(f"fetch-checkpoints: {PIPELINES[name].note}", file=sys.stderr)
                continue
            each = PUBLISHED[name]
            file = obtain(each, folder)
            print(f"scripts/just import {each.command.format(file=file, folder=folder)}")
    except SetupError as error:
        print(f"fetch-checkpoints: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        failure = from_os_error(error)
        print(f"fetch-checkpoints: {failure}", file=sys.stderr)
        return failure.exit_code
    except KeyboardInterrupt:
        print("fetch-checkpoints: interrupted, run the same command again to go on", file=sys.stderr)
        return 75
    return 0


def obtain(each: Published, folder: Path) -> Path:
    """The file in `folder`, fetched if it is not there, and held against the lock.

    Raises `SetupError`: `INTEGRITY` for other bytes than at first use, `RESOURCES` if it cannot be fetched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / each.file
    if not target.exists():
        require_space(folder, each.megabytes * 1_100_000)
        print(f"fetch-checkpoints: {each.url} (about {each.megabytes} MB, {each.licence})", file=sys.stderr)
        part = folder / f"{each.file}.part"
        _download(each, part)
        _refuse_page(part, each)
        part.replace(target)
    _hold(target, folder / LOCK)
    return target


def _hold(target: Path, lock: Path) -> None:
    """Writes size and hash at first use; compares afterwards."""
    entries = json.loads(lock.read_text()) if lock.exists() else {}
    found = {"bytes": target.stat().st_size, "sha256": digest(target)}
    if target.name not in entries:
        entries[target.name] = found
        partial = lock.with_name(f".{lock.name}.{os.getpid()}")
        partial.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n")
        partial.replace(lock)
    elif entries[target.name] != found:
        raise integrity(
            f"{target} has {found['bytes']} bytes, SHA-256 {found['sha256']}; at first use it had "
            f"{entries[target.name]['bytes']}, {entries[target.name]['sha256']}",
            f"move it aside and fetch it again, or take its entry out of {lock} if the change is meant",
        )


def _download(each: Published, part: Path) -> None:
    failure: Exception | None = None
    for _ in range(_N_ATTEMPTS):
        try:
            if _append(each.url, part):
                return
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            failure = error
    raise resources(
        f"{each.file} could not be fetched from {each.url} ({failure or 'it ended early'})",
        f"connect to the network and run again, or fetch it elsewhere and put it at {part.with_name(each.file)}",
    )


def _append(url: str, part: Path) -> bool:
    """Asks for the bytes that `part` lacks and appends them; whether the file is whole now."""
    n_present = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={n_present}-"} if n_present else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and n_present:
            return True
        raise
    with response:
        continues = response.status == http.client.PARTIAL_CONTENT
        expected = response.headers.get("Content-Length")
        start = n_present if continues else 0
        with part.open("ab" if continues else "wb") as out:
            shutil.copyfileobj(response, out, _BLOCK)
            out.flush()
            os.fsync(out.fileno())
    return expected is None or part.stat().st_size >= start + int(expected)


def _refuse_page(part: Path, each: Published) -> None:
    """A page in the place of the file: quotas and log-ins answer so."""
    with part.open("rb") as file:
        head = file.read(512).lstrip().lower()
    if head.startswith((b"<!doctype", b"<html")):
        part.unlink()
        raise resources(
            f"{each.url} answers with a web page, not with {each.file} (a quota, or a log-in)",
            f"fetch it by a browser and put it at {part.with_name(each.file)}",
        )


if __name__ == "__main__":
    sys.exit(main())
