"""Prove the CUDA path: scores, images, speed and idle time against the CPU and PyTorch.

Table 1 on both devices, a silent fall-back looked for, throughput by batch, precision and CUDA graph, beside PyTorch.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pieces
from pack import needed_glibc
from steps import Steps
from train import ROOT, machine

PRECISIONS = ("float32", "tf32", "float16")


def options(parser: argparse.ArgumentParser) -> None:
    """Options of `run.sh prove`."""
    parser.add_argument("--experiment", default="table1-cifar10", help="experiment that both devices run")
    parser.add_argument("--network", default="models/ddpm-cifar10-small", help="its bundle, below experiments/")
    parser.add_argument(
        "--torch-weights",
        default="models/ddpm-cifar10-small/weights.safetensors",
        help="weights of a network of scripts/train, below experiments/, for PyTorch",
    )
    parser.add_argument("--batches", default="1,32,256", help="images a call whose speed is taken")
    parser.add_argument("--images", type=int, default=48, help="images whose scores and pixels are compared")
    parser.add_argument("--steps", type=int, default=50, help="steps of the sampler there")
    parser.add_argument("--long", type=int, default=2048, help="images of the run whose idle time is taken")


def run(steps: Steps, arguments: argparse.Namespace) -> None:
    """All steps, the ones that say most first."""
    box = arguments.box / "files"
    if steps.run("unpack", 30, lambda: len(pieces.join(arguments.box, box))) is None:
        return
    proof = Proof(box, arguments)
    steps.run("machine", 20, lambda: {**machine(), **proof.glibc()})
    steps.run("doctor", 20, proof.doctor)
    steps.run("fall-back", 20, proof.refuses_without_a_device)
    steps.run("images and scores", 60, proof.images_and_scores)
    steps.run("speed", 120, proof.speed)
    steps.run("speed of PyTorch", 90, proof.speed_of_torch)
    steps.run("whole steps", 30, proof.whole_steps)
    steps.run("idle", 60, proof.idle)
    steps.run("experiment", 120, proof.experiment)


class Proof:
    """The program on the machine, and what is asked of it."""

    def __init__(self, box: Path, arguments: argparse.Namespace) -> None:
        self.box, self.a, self.binary = box, arguments, box / "dubench"
        self.device = "cpu" if arguments.stand_in else "cuda"
        self.network = box / "experiments" / arguments.network
        self.work = box / "work"
        self.work.mkdir(exist_ok=True)

    def environment(self, **more: str) -> dict[str, str]:
        """Of the program: the library that came, and the CUDA libraries of this Python's packages."""
        library = next(iter(sorted((self.box / "ort").glob("libonnxruntime.so*"))))
        folders = [str(p) for base in sys.path for p in sorted(Path(base).glob("nvidia/*/lib"))]
        path = os.pathsep.join([*folders, os.environ.get("LD_LIBRARY_PATH", "")]).strip(os.pathsep)
        own = {"ORT_DYLIB_PATH": str(library), "DUBENCH_CACHE": str(self.box / "cache"), "LD_LIBRARY_PATH": path}
        return {**os.environ, **own, **more}

    def dubench(self, *words: object, **more: str) -> dict[str, Any]:
        """One command; its answer."""
        command = [str(self.binary), "--quiet", "--format", "json", *map(str, words)]
        done = subprocess.run(command, cwd=self.box, env=self.environment(**more), capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
        return json.loads(done.stdout)

    def glibc(self) -> dict[str, str]:
        """What the program needs, and what is here."""
        needed, here = needed_glibc(self.binary), platform.libc_ver()[1]
        if [int(n) for n in needed.split(".")] > [int(n) for n in here.split(".")[:2]]:
            raise RuntimeError(f"dubench needs glibc {needed}, here is {here}: build it on an older system")
        return {"glibc needed": needed, "glibc": here}

    def doctor(self) -> Any:
        """What the program finds missing for the device."""
        command = [str(self.binary), "--format", "json", "doctor", "--device", self.device]
        done = subprocess.run(command, cwd=self.box, env=self.environment(), capture_output=True, text=True)
        findings = json.loads(done.stdout)
        return {finding["what"]: finding["detail"] for finding in findings}

    def refuses_without_a_device(self) -> str:
        """With no GPU to be seen, a run on `cuda` must end in words, and never on the CPU."""
        out = self.work / "fall-back"
        try:
            self.dubench("sample", self.network, "-o", out, "-n", 1, "--device", "cuda", CUDA_VISIBLE_DEVICES="-1")
        except RuntimeError as error:
            return str(error)[-300:]
        raise AssertionError("dubench sampled on `cuda` where there is none: it has fallen back in silence")

    def sampled(self, device: str, *more: object) -> tuple[dict[str, Any], Any]:
        """Images of the network, and their final states."""
        import numpy as np

        out = self.work / f"sample-{device}-{len(list(self.work.iterdir()))}"
        words = ("--steps", self.a.steps, "--estimator", "sample_var", "--device", device)
        answer = self.dubench("sample", self.network, "-o", out, "-n", self.a.images, *words, *more)
        return answer, np.load(out / "final.npy")

    def images_and_scores(self) -> dict[str, Any]:
        """Scores within 1e-4 of those of the CPU, pixels within one level for 999 of 1,000."""
        import numpy as np

        (ours, x), (theirs, y) = (self.sampled(device) for device in ("cpu", self.device))
        a, b = (np.array(answer["methods"][0]["scores"]) for answer in (ours, theirs))
        grey = [np.clip(np.rint(127.5 * (np.clip(final, -1, 1) + 1)), 0, 255) for final in (x, y)]
        near = float(np.mean(np.abs(grey[0] - grey[1]) <= 1))
        moved = float(np.max(np.abs(a - b) / np.maximum(np.abs(a), 1e-30)))
        found = {"largest relative move of a score": moved, "pixels within one level": near, "images": len(a)}
        if moved > 1e-4 or near < 0.999:
            raise AssertionError(f"not the images of the CPU: {found}")
        return found

    def variant(self, precision: str, n_images: int) -> Path:
        """The experiment with a network in this precision, on so many images in blocks of a batch."""
        path = Path(self.a.network)
        if precision == "float16":
            path = Path(f"{self.a.network}-float16")
            self.half(self.box / "experiments" / path)
        own = "" if precision in ("float32", "float16") else f", precision: {precision}"
        name = f"speed-{precision}-{n_images}"
        text = f"extends: {self.a.experiment}.yaml\nname: {name}\nmodel: {{kind: bundle, path: {path}{own}}}\n"
        text += f"scales:\n  smoke: {{n_pool: {n_images}, n_keep: {n_images // 2}}}\n"
        file = self.box / "experiments" / f"{name}.yaml"
        pieces.publish(file, text.encode())
        return file

    def half(self, folder: Path) -> None:
        """The network with weights in float16, once."""
        if (folder / "model.yaml").exists():
            return
        folder.mkdir(exist_ok=True)
        for graph in ("denoiser.onnx", "denoiser_train.onnx"):
            if (self.network / graph).exists():
                self.dubench("graph", "half", self.network / graph, "-o", folder / graph)
        self.dubench("model", "init", folder)

    def speed(self) -> list[dict[str, Any]]:
        """Milliseconds inside the network for an image of the experiment, by precision, batch and CUDA graph."""
        rows = []
        for precision in PRECISIONS:
            for batch in map(int, self.a.batches.split(",")):
                for graph in ("off", "on"):
                    rows.append({"precision": precision, "batch": batch, "graph": graph, **self.one(precision, batch, graph)})
        return rows

    def one(self, precision: str, batch: int, graph: str) -> dict[str, Any]:
        """One row; a precision that the stand-in has not is noted as refused."""
        n_images = max(batch, 8)
        words = ("--scale", "smoke", "--work-dir", self.work / f"speed-{graph}-{batch}", "--device", self.device)
        try:
            file = self.variant(precision, n_images)
            options = ("--batch", batch, "--turns", 1, "--networks", 1, "--cuda", f"graph={graph}")
            done = self.dubench("generate", file, *words, *options)
            share = done["network_seconds"] / max(1, done["n_images"])
        except RuntimeError as error:
            return {"refused": str(error)[-200:]}
        return {"images": done["n_images"], "network ms an image": round(1e3 * share, 4)}

    def speed_of_torch(self) -> Any:
        """The same network in PyTorch, eager and compiled."""
        script = Path(__file__).with_name("torch_speed.py")
        weights = self.box / "experiments" / self.a.torch_weights
        command = [sys.executable, script, weights, "--device", self.device]
        command += ["--batches", self.a.batches, *(["--quick"] if self.a.stand_in else [])]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr[-2000:])
        return json.loads(done.stdout)

    def whole_steps(self) -> list[dict[str, Any]]:
        """Time of the experiment's images with a step's draws in calls of their own, and with the whole step as one."""
        rows = []
        for way in ("off", "on"):
            file = self.variant("float32", max(map(int, self.a.batches.split(","))))
            words = ("--scale", "smoke", "--work-dir", self.work / f"step-{way}", "--device", self.device)
            try:
                done = self.dubench("generate", file, *words, "--turns", 1, "--networks", 1, "--step-graph", way)
                share = done["network_seconds"] / max(1, done["n_images"])
                took = {"network ms an image": round(1e3 * share, 4), "wall_seconds": done["wall_seconds"]}
            except RuntimeError as error:
                # Where a bit differs from separate calls the program refuses, and says by how much.
                took = {"refused": str(error)[-300:]}
            rows.append({"step graph": way, **took})
        return rows

    def idle(self) -> list[dict[str, Any]]:
        """Share of the wall time in which no call ran, with one block at a time and with four."""
        rows = []
        for turns in (1, 4):
            file = self.variant("float32", self.a.long)
            words = ("--scale", "smoke", "--work-dir", self.work / f"idle-{turns}", "--device", self.device)
            done = self.dubench("generate", file, *words, "--turns", turns, "--networks", 1)
            share = 1 - done["network_seconds"] / done["wall_seconds"]
            rows.append({"turns": turns, "idle, opening included": round(share, 4), "wall_seconds": done["wall_seconds"]})
        return rows

    def experiment(self) -> dict[str, Any]:
        """Table 1 on both devices: FID within the band of its own rounding."""
        file = f"experiments/{self.a.experiment}.yaml"
        for device in dict.fromkeys(("cpu", self.device)):
            words = ("--work-dir", self.work / device, "--results-dir", self.work / f"results-{device}")
            self.dubench("run", file, "--scale", "smoke", "--device", device, *words)
        results = [self.work / f"results-{device}" / self.a.experiment / "smoke" for device in ("cpu", self.device)]
        check = self.dubench("check", *results, "--metric", "fid", "--relative", "0.001")
        return {"fid": check}
