"""Train the small network on CIFAR-10 or Fashion-MNIST, on a CPU, by number of images seen.

    nohup nice -n 5 python scripts/train/train.py --folder FOLDER --total-images 700000 &

Everything is kept in FOLDER: `last.pt` (resumed from when it exists), `ema-<images>-<half-life>.safetensors` (averages of
the weights, the newest six of each half-life), `log.csv`. Two files there steer a run that is going on:

    threads      number of threads, read every 10 steps
    finish_at    images at which to stop, for a run that must end earlier or later than planned: the learning rate
                 comes down over the last 20 %, or from now on if that has begun
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: do not spin where threads wait
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import argparse
import json
import math
import sys
import time
from pathlib import Path

import notes
import torch
from data import cache_folder, data_sets, to_unit_range
from epsilon_error import TIMESTEPS, Estimate, epsilon_errors
from recipe import Averages, Diffusion, Recipe, Schedule, add_options, stratified_timesteps
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from unet import Config, UNet
from workers import GradientWorkers

N_EVALUATION_IMAGES = 500
# Of weights that say nothing of their recipe: all of them come from this trainer before it had a choice.
FIRST_RECIPE = Recipe("min-snr", 4e-4, dropout=0.1, flips=True, batch=64, precision="f32")


def read_integer(path: Path) -> int | None:
    """A positive integer from a control file; None if there is none (a half-written one counts as none)."""
    try:
        value = int(path.read_text().strip())
    except (FileNotFoundError, ValueError):
        return None
    return value if value > 0 else None


def estimator(weights: dict[str, Tensor], config: Config) -> Estimate:
    """The noise that a network of these weights says is in x_t."""
    model, diffusion = UNet(config).eval(), Diffusion()
    model.load_state_dict(weights)
    return lambda x, t: diffusion.at(diffusion.a, t) * model(x, t) + diffusion.at(diffusion.s, t) * x


class Trainer:
    """State of one run and its loop."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        torch.set_num_threads(1)
        self.arguments, self.folder = arguments, arguments.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        data = data_sets()[arguments.data_set]
        folder = arguments.data or data.folder
        self.train = torch.from_numpy(data.train(folder))
        self.test = torch.from_numpy(to_unit_range(data.test(folder)[:N_EVALUATION_IMAGES]))
        torch.manual_seed(arguments.seed)
        self.recipe = Recipe.of(arguments, may_flip=data.flips)
        self.diffusion = Diffusion(self.recipe.loss_weights)
        self.use_bfloat16 = self.recipe.precision == "bf16"
        self.model = UNet(Config(dropout=self.recipe.dropout))
        if not self.use_bfloat16:  # faster in f32, slower in bf16: README.md, Speed
            self.model.to(memory_format=torch.channels_last)
        self.averages = Averages(self.model, arguments.half_lives)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.0, betas=(0.9, 0.99), weight_decay=0.01)
        self.schedule = Schedule(arguments.learning_rate, arguments.warm_up, arguments.total_images)
        self.images, self.seconds, self.generator = 0, 0.0, torch.Generator().manual_seed(arguments.seed)
        self.order, self.position = torch.empty(0, dtype=torch.long), 0
        self.stages: list[dict] = []
        if not self.resume() and arguments.start_from is not None:
            self.start_from(arguments.start_from)
        self.note_recipe()
        self.workers = GradientWorkers(self.model, self.n_threads())

    def n_threads(self) -> int:
        """Threads asked for now."""
        return read_integer(self.folder / "threads") or self.arguments.threads

    def next_indices(self, n: int) -> Tensor:
        """Indices of the next `n` images: every image once an epoch, in a new order each time."""
        while self.position + n > len(self.order):
            rest = self.order[self.position :]
            self.order = torch.cat([rest, torch.randperm(len(self.train), generator=self.generator)])
            self.position = 0
        self.position += n
        return self.order[self.position - n : self.position]

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """One batch of x_0 (mirrored at random where the data set allows it), epsilon, timestep (stratified over 0..999)."""
        n = self.arguments.batch
        x_0 = self.train[self.next_indices(n)].float() / 127.5 - 1.0
        flip = torch.rand(n, generator=self.generator) < 0.5  # drawn without flips too: recipes see the same noise
        if self.recipe.flips:
            x_0[flip] = x_0[flip].flip(-1)
        timestep = stratified_timesteps(n, "cpu", self.generator)
        return x_0, torch.randn(x_0.shape, generator=self.generator), timestep

    def step(self) -> float:
        """One optimiser step; returns the mean weighted loss."""
        micro, n = self.arguments.micro_batch, self.arguments.batch
        x_0, epsilon, timestep = self.batch()
        x_t, target = self.diffusion.noise(x_0, epsilon, timestep)
        weight = self.diffusion.at(self.diffusion.weight, timestep)

        def work(replica: nn.Module, index: int) -> float:
            part = slice(index * micro, (index + 1) * micro)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.use_bfloat16):
                v = replica(x_t[part], timestep[part]).float()
            loss = (weight[part] * (v - target[part]).square()).mean(dim=(1, 2, 3)).sum() / n
            loss.backward()
            return loss.item()

        rate = self.schedule(self.images)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self.workers.accumulate(n // micro, work)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.images += n
        self.averages.update(self.model, n, self.images)
        return loss

    def epsilon_mse(self) -> dict[int, list[float]]:
        """Mean squared epsilon error of each average, by its half-life, on test images of each timestep (fixed noise)."""
        parts = self.test.split(len(self.test) // len(TIMESTEPS))
        errors = {}
        for half_life, weights in self.averages.weights.items():
            generator, estimate = torch.Generator().manual_seed(0), estimator(weights, self.model.config)
            each = (
                epsilon_errors(estimate, self.diffusion, x_0, t, generator)
                for x_0, t in zip(parts, TIMESTEPS, strict=True)
            )
            errors[half_life] = [error.mean().item() for error in each]
        return errors

    def note_recipe(self) -> None:
        """A new entry where the recipe is another one than before."""
        if not self.stages or {**self.stages[-1], **self.recipe.as_dict()} != self.stages[-1]:
            self.stages.append({"after_images": self.images, **self.recipe.as_dict()})

    def start_from(self, path: Path) -> None:
        """Begin with a bundle's averaged weights and image count; the optimiser starts anew, with a warm-up."""
        with safe_open(path, "pt") as file:
            weights = {name: file.get_tensor(name).float() for name in file.keys()}
            metadata = file.metadata()
        self.images, self.seconds = int(metadata["images_seen"]), float(metadata["train_seconds"])
        before = [{"after_images": 0, "first_trainer": True, **FIRST_RECIPE.as_dict()}]
        self.stages = json.loads(metadata["recipe"]) if "recipe" in metadata else before
        self.model.load_state_dict(weights)
        self.averages = Averages(self.model, self.arguments.half_lives)
        self.schedule.began_at = self.images
        self.generator.manual_seed(self.arguments.seed + self.images)  # not the noise already seen
        print(f"started from {path} at {self.images} images", flush=True)

    def resume(self) -> bool:
        """Go on from `last.pt` if there is one."""
        path = self.folder / "last.pt"
        if not path.exists():
            return False
        state = torch.load(path, weights_only=True)
        if "averages" not in state:
            sys.exit(f"train: {path} is of an earlier trainer, of one average: take another --folder, and --start-from")
        if list(state["averages"]) != self.arguments.half_lives:
            kept = " ".join(map(str, state["averages"]))
            sys.exit(f"train: {path} keeps averages of other half-lives: resume it with --half-lives {kept}")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.averages.weights, self.stages = state["averages"], state["stages"]
        self.images, self.seconds = state["images"], state["seconds"]
        self.generator.set_state(state["generator"])
        self.order, self.position = state["order"], state["position"]
        if "schedule" in state:
            self.schedule.restore(state["schedule"])
        print(f"resumed at {self.images} images", flush=True)
        return True

    def save(self, epsilon_mse: dict[int, list[float]]) -> None:
        """Write `last.pt` and the averages, each whole or not at all; keep the newest averages of each half-life."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "averages": self.averages.weights,
            "stages": self.stages,
            "images": self.images,
            "seconds": self.seconds,
            "generator": self.generator.get_state(),
            "order": self.order,
            "position": self.position,
            "schedule": self.schedule.state(),
        }
        partial = self.folder / "partial"
        torch.save(state, partial)
        partial.replace(self.folder / "last.pt")
        where = {"trainer": "scripts/train/train.py", "trained_on": "two shared CPU cores", "measured_on": "test images"}
        for half_life, weights in self.averages.weights.items():
            said = notes.of_weights(self.images, self.seconds, half_life, epsilon_mse[half_life], self.stages, where)
            form = {"format": "dubench-ddpm-small 1", "config": json.dumps(self.model.config.as_dict())}
            save_file(weights, partial, {**form, **said})
            partial.replace(self.folder / f"ema-{self.images:08d}-{half_life}.safetensors")
            for old in sorted(self.folder.glob(f"ema-*-{half_life}.safetensors"))[: -self.arguments.keep]:
                old.unlink()

    def control(self) -> None:
        """Follow the control files."""
        n_threads = self.n_threads()
        if n_threads != len(self.workers.replicas):
            self.workers.resize(n_threads)
            print(f"{n_threads} threads from {self.images} images on", flush=True)
        finish_at = read_integer(self.folder / "finish_at")
        if finish_at is not None:
            self.schedule.finish_at(finish_at, self.images)

    def run(self) -> None:
        """Train until the planned number of images."""
        n_steps, losses = 0, []
        mark, mark_images, saved = time.monotonic(), self.images, time.monotonic()
        self.control()
        while self.images < self.schedule.total:
            losses.append(self.step())
            n_steps += 1
            if not math.isfinite(losses[-1]):
                sys.exit(f"train: loss is {losses[-1]} at {self.images} images: resume from last.pt with a lower rate")
            last = self.images >= self.schedule.total
            if n_steps % 10 == 0 or last:
                self.control()
            if n_steps % 40 and not last:
                continue
            now = time.monotonic()
            self.seconds += now - mark
            speed = (self.images - mark_images) / (now - mark)
            due = last or now - saved > self.arguments.save_every
            errors = self.epsilon_mse() if due else {}
            row = [self.images, round(self.seconds, 1), round(speed, 1), round(sum(losses) / len(losses), 6)]
            row += [f"{self.schedule(self.images):.3e}", *best(errors)]
            notes.append(self.folder / "log.csv", [dict(zip(notes.LOG_FIELDS, row, strict=True))])
            print(*row, flush=True)
            if due:
                self.save(errors)
                saved = time.monotonic()
            losses, mark, mark_images = [], time.monotonic(), self.images


def best(errors: dict[int, list[float]]) -> tuple[float | str, int | str]:
    """The lowest error and the half-life of its average; nothing where none was measured."""
    if not errors:
        return "", ""
    half_life = min(errors, key=lambda n: sum(errors[n]))
    return round(sum(errors[half_life]) / len(errors[half_life]), 6), half_life


def native_precision() -> str:
    """bf16 where the processor multiplies it; elsewhere it is emulated, ten times slower than f32."""
    return "bf16" if torch.cpu.get_capabilities().get("avx512_bf16", False) else "f32"


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=cache_folder() / "train", help="checkpoints, log, control files")
    parser.add_argument("--data-set", choices=sorted(data_sets()), default="cifar10", help="what to train on")
    parser.add_argument("--data", type=Path, help="folder of its files, where set-up did not put them")
    parser.add_argument("--start-from", type=Path, help="weights.safetensors of a bundle, where there is no last.pt")
    parser.add_argument("--total-images", type=int, default=700_000)
    add_options(parser, batch=64, learning_rate=4e-4, precision=native_precision())
    parser.add_argument("--warm-up", type=int, default=20_000, metavar="IMAGES", help="over which the rate rises")
    parser.add_argument("--micro-batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save-every", type=float, default=180.0, help="seconds between checkpoints")
    parser.add_argument("--keep", type=int, default=6, help="files kept of each average")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(words)
    if arguments.batch % arguments.micro_batch:
        parser.error(f"--batch {arguments.batch} is not a multiple of --micro-batch {arguments.micro_batch}")
    return arguments


if __name__ == "__main__":
    Trainer(parse()).run()
