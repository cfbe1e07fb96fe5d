"""Imports the small networks of `recipe.py` and runs what comes out."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import subprocess
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnxruntime

from .. import autoencoder, cli
from ..architectures import ARCHITECTURES, read_autoencoder
from . import recipe

ROOT = Path(__file__).resolve().parents[3]


class FolderTest(unittest.TestCase):
    """A test with an empty folder of its own."""

    def setUp(self) -> None:
        """Makes the folder."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_import(self, *arguments: object) -> tuple[int, str]:
        """Exit code and stderr of the command."""
        with contextlib.redirect_stderr(io.StringIO()) as err, contextlib.redirect_stdout(io.StringIO()):
            code = cli.main([str(argument) for argument in arguments])
        return code, err.getvalue()


class FlakyServer:
    """Serves `data` with byte ranges; the first `n_broken` answers end after `cut` bytes."""

    def __init__(self, data: bytes, cut: int = 0, n_broken: int = 0, ranges: bool = True) -> None:
        self.requests: list[str | None] = []
        outer = self
        remaining = [n_broken]

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the name that http.server calls
                wanted = self.headers.get("Range")
                outer.requests.append(wanted)
                start = int(wanted[len("bytes=") :].rstrip("-")) if wanted and ranges else 0
                body = data[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if remaining[0] > 0:
                    remaining[0] -= 1
                    body = body[:cut]
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Keeps the test output quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """Address of the one file that is served."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/file"

    def __enter__(self) -> FlakyServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def shapes(case: str, **layout: object) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of a case's checkpoint."""
    word, raw = recipe.CASES[case]
    about = ARCHITECTURES[word]
    if about.read is None:
        config = read_autoencoder(raw)
        keys = frozenset(["decoder.mid_block.resnets.0.norm1.weight"]) if case == "kl-diffusers" else frozenset()
        networks = [build(config, keys=keys) for build in (autoencoder.build_decoder, autoencoder.build_encoder)]
    else:
        denoiser = about.read(raw)
        networks = [denoiser.build(denoiser.config, **layout)]
    return {key: claim.shape for network in networks for key, (claim, _) in network.graph.claims.items()}


@functools.cache
def checkpoint(case: str) -> dict[str, np.ndarray]:
    """A case's weights; their hash must be that of the golden file."""
    weights = recipe.weights(case, shapes(case))
    expected = str(np.load(recipe.DATA / f"{case}.npz")["weights"])
    if recipe.digest(weights) != expected:
        raise AssertionError(f"{case}: the recipe gives other weights than the golden values were made with")
    return weights


def write_case(case: str, folder: Path) -> list[object]:
    """Writes checkpoint and configuration; returns the arguments of the import into `folder/case`."""
    word, raw = recipe.CASES[case]
    file, config = folder / f"{case}.safetensors", folder / f"{case}.json"
    file.write_bytes(recipe.safetensors(checkpoint(case)))
    config.write_text(json.dumps(raw))
    arguments: list[object] = [word, file, "--config", config, "-o", folder / case]
    if word.startswith("uvit"):
        arguments += write_autoencoder(folder)
    return arguments


def write_autoencoder(folder: Path) -> list[object]:
    """The small autoencoder beside a latent model."""
    _, raw = recipe.CASES["kl-compvis"]
    file, config = folder / "kl.safetensors", folder / "kl.json"
    file.write_bytes(recipe.safetensors(checkpoint("kl-compvis")))
    config.write_text(json.dumps(raw))
    return ["--autoencoder", file, "--autoencoder-config", config]


def run(path: Path, feeds: dict[str, np.ndarray], output: str) -> np.ndarray:
    """One output of a graph, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run([output], feeds)[0]


def error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the largest value."""
    if found.shape != expected.shape:
        raise AssertionError(f"shape {found.shape}, expected {expected.shape}")
    return float(np.abs(found.astype(np.float64) - expected).max() / np.abs(expected).max())


def dubench(*arguments: object, cwd: Path | None = None) -> str:
    """Runs the binary of this checkout; fails with its own words."""
    binary = Path(os.environ.get("DUBENCH", ROOT / "target" / "debug" / "dubench")).resolve()
    if not binary.is_file():
        raise AssertionError(f"{binary} is not there: scripts/just build makes it, or name another in DUBENCH")
    environment = dict(os.environ)
    if "ORT_DYLIB_PATH" not in environment:
        found = subprocess.run(
            [ROOT / "scripts" / "setup.sh", "--where", "onnxruntime"], capture_output=True, text=True, check=True
        )
        environment["ORT_DYLIB_PATH"] = found.stdout.strip()
    command = [binary, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout
