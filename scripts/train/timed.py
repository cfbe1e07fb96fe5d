"""Train for a number of seconds, on a GPU or a CPU: what a machine that is lent for minutes is used for.

    python scripts/train/timed.py --out OUT --seconds 330 --architecture base --device cuda

Time decides the schedule: warm-up over the first 3 % of the seconds, rate down to zero over the last 25 %; compiling is
not counted. The data set lies on the device; bf16, channels-last, one compiled graph. Moving averages of the
weights are kept, by half-life in images; each is written in f16, with a sheet of samples and its error on images, so that
one can be chosen afterwards (`join.py` gives f32 for the exporter). `train.py` is the trainer by images seen, resumable.
"""

import argparse
import copy
import json
import math
import sys
import time
from pathlib import Path

import notes
import numpy as np
import torch
from architectures import ARCHITECTURES, Architecture, Batch, metadata, some_without_label
from data import data_sets
from epsilon_error import TIMESTEPS, epsilon_errors
from recipe import Averages, Diffusion, Recipe, add_options, stratified_timesteps
from safetensors.torch import save
from torch import Tensor, nn

PIECE = 15 << 20


class Timed:
    """State of one run and its loop."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments, self.device = arguments, torch.device(arguments.device)
        torch.manual_seed(arguments.seed)
        if self.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
            torch.backends.cudnn.benchmark = True
        data = data_sets()[arguments.data_set]
        folder = arguments.data or data.folder
        self.images = torch.from_numpy(data.train(folder).copy()).to(self.device)
        self.recipe = Recipe.of(arguments, may_flip=data.flips)
        self.labels = self.n_classes = None
        if arguments.classes:
            labels = data.labels(folder)
            self.labels, self.n_classes = torch.from_numpy(labels).to(self.device), int(labels.max()) + 1
        self.diffusion = Diffusion(self.recipe.loss_weights).to(self.device)
        self.architecture: Architecture = ARCHITECTURES[arguments.architecture]
        model = self.architecture.build(self.n_classes, self.recipe.dropout)
        self.model = model.to(self.device, memory_format=torch.channels_last)
        self.averages = Averages(self.model, arguments.half_lives)
        self.forward = torch.compile(self.model) if arguments.compile else self.model
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=0.0, betas=(0.9, 0.99), weight_decay=0.01, fused=self.device.type == "cuda"
        )
        self.seen, self.losses, self.log = 0, [], []

    def autocast(self) -> torch.autocast:
        """The precision of the layers."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.arguments.precision == "bf16")

    def wait(self) -> None:
        """Until the device has done what it was asked."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def batch(self) -> Batch:
        """Random images, mirrored at random where the data set allows it; times stratified over 0..999."""
        n, device = self.arguments.batch, self.device
        index = torch.randint(len(self.images), (n,), device=device)
        x_0 = self.images[index].float() / 127.5 - 1.0
        if self.recipe.flips:
            mirrored = (torch.rand(n, device=device) < 0.5)[:, None, None, None]
            x_0 = torch.where(mirrored, x_0.flip(-1), x_0)
        timestep = stratified_timesteps(n, device)
        label = None if self.labels is None else some_without_label(self.labels[index], self.n_classes)
        return Batch(x_0, torch.randn_like(x_0), timestep, label)

    def ask(self, model: nn.Module, x_t: Tensor, timestep: Tensor, label: Tensor | None) -> Tensor:
        """One call to a network."""
        x_t = x_t.contiguous(memory_format=torch.channels_last)
        with self.autocast():
            return model(x_t, timestep) if label is None else model(x_t, timestep, label)

    def step(self, rate: float) -> None:
        """One optimiser step and the averages."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = self.batch()
        x_t, v = self.diffusion.noise(batch.x_0, batch.epsilon, batch.timestep)
        out = self.ask(self.forward, x_t, batch.timestep, batch.label)
        loss = self.architecture.loss(self.diffusion, out, batch, v)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.losses.append(loss.detach())
        self.seen += self.arguments.batch
        self.averages.update(self.model, self.arguments.batch, self.seen)

    def rate(self, share: float) -> float:
        """Learning rate when this share of the seconds is over."""
        return self.arguments.learning_rate * min(1.0, share / 0.03) * min(1.0, (1.0 - share) / 0.25)

    def run(self) -> None:
        """Train until the seconds are over."""
        begin = time.monotonic()
        for _ in range(2):
            self.step(0.0)
        self.wait()
        print(f"first steps, with compiling: {time.monotonic() - begin:.0f} s", flush=True)
        self.seen, self.losses = 0, []
        begin, mark = time.monotonic(), (0.0, 0)
        while (now := time.monotonic() - begin) < self.arguments.seconds:
            self.step(self.rate(now / self.arguments.seconds))
            if len(self.losses) % 50 == 0:
                mark = self.note(begin, mark)
        self.wait()
        self.note(begin, mark)

    def note(self, begin: float, mark: tuple[float, int]) -> tuple[float, int]:
        """A line of the log; prints the first ones and then every eighth."""
        self.wait()
        now = time.monotonic() - begin
        loss = torch.stack(self.losses[-50:]).mean().item()
        if not math.isfinite(loss):
            sys.exit(f"timed: the loss is {loss} after {self.seen} images: lower --learning-rate")
        speed = (self.seen - mark[1]) / max(1e-9, now - mark[0])
        row = {"seconds": round(now, 1), "images": self.seen, "images_per_second": round(speed), "loss": round(loss, 5)}
        self.log.append(row)
        if len(self.log) < 4 or len(self.log) % 8 == 0:
            print(json.dumps(row), flush=True)
        return now, self.seen

    @torch.no_grad()
    def errors(self, model: nn.Module) -> list[float]:
        """Mean squared epsilon error at t = 25, 75 .. 975 on the last images of the training set, with fixed noise."""
        generator = torch.Generator(self.device).manual_seed(0)
        last = self.arguments.error_images
        x_0 = self.images[-last:].float() / 127.5 - 1.0
        label = None if self.labels is None else self.labels[-last:]

        def estimate(x_t: Tensor, timestep: Tensor) -> Tensor:
            out = self.ask(model, x_t, timestep, label)
            return self.architecture.epsilon(self.diffusion, out, x_t, timestep)

        return [epsilon_errors(estimate, self.diffusion, x_0, t, generator).mean().item() for t in TIMESTEPS]

    @torch.no_grad()
    def sheet(self, model: nn.Module) -> np.ndarray:
        """DDIM, 50 steps, clipped: a square of images side by side, u8."""
        n_side = self.arguments.sheet
        n = n_side * n_side
        x = torch.randn(n, 3, 32, 32, device=self.device, generator=torch.Generator(self.device).manual_seed(1))
        label = None if self.labels is None else torch.arange(n, device=self.device) % self.n_classes
        for t in range(980, -1, -20):
            timestep = torch.full((n,), t, device=self.device)
            epsilon = self.architecture.epsilon(self.diffusion, self.ask(model, x, timestep, label), x, timestep)
            x_0 = ((x - self.diffusion.s[t] * epsilon) / self.diffusion.a[t]).clamp(-1.0, 1.0)
            x = x_0 if t == 0 else self.diffusion.a[t - 20] * x_0 + self.diffusion.s[t - 20] * epsilon
        grey = ((x.clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy()
        rows = grey.reshape(n_side, n_side, 3, 32, 32).transpose(0, 3, 1, 4, 2)
        return rows.reshape(32 * n_side, 32 * n_side, 3)

    def write(self, out: Path) -> None:
        """Averages in f16, cut into pieces, with a sheet each; and what was done."""
        from PIL import Image

        means, seconds = {}, self.log[-1]["seconds"]
        where = {"trainer": "scripts/train/timed.py", "trained_on": device_name(self.device)}
        where["measured_on"] = f"the last {self.arguments.error_images} training images"
        average = copy.deepcopy(self.model).eval()
        for half_life, values in self.averages.weights.items():
            average.load_state_dict(values)
            errors = self.errors(average)
            means[half_life] = sum(errors) / len(errors)
            Image.fromarray(self.sheet(average)).save(out / f"samples-{half_life}.png")
            stages = [{"after_images": 0, **self.recipe.as_dict()}]
            said = notes.of_weights(self.seen, seconds, half_life, errors, stages, where)
            weights = {name: value.half().contiguous() for name, value in values.items()}
            blob = save(weights, {**metadata(average), **said})
            for number, at in enumerate(range(0, len(blob), PIECE)):
                (out / f"ema-{half_life}.{number:02d}").write_bytes(blob[at : at + PIECE])
        best = min(means, key=means.__getitem__)
        notes.append(out / "log.csv", [*self.log[:-1], {**self.log[-1], "epsilon_mse": means[best], "half_life": best}])
        summary = {
            "arguments": {name: str(value) for name, value in vars(self.arguments).items()},
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "torch": torch.__version__,
            "device": where["trained_on"],
            "images_seen": self.seen,
            "images_per_second": round(self.seen / max(1e-9, seconds)),
            "epsilon_mse_of_training_images": means,
            "log": self.log[:: max(1, len(self.log) // 60)],
        }
        (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
        print(json.dumps(means), flush=True)


def device_name(device: torch.device) -> str:
    """The device in words."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "a CPU"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="new folder of what is made")
    parser.add_argument("--seconds", type=float, default=330.0, help="of training; compiling and writing come on top")
    parser.add_argument("--architecture", choices=sorted(ARCHITECTURES), default="base")
    parser.add_argument("--classes", action="store_true", help="a network that is told classes")
    parser.add_argument("--data-set", choices=sorted(data_sets()), default="cifar10")
    parser.add_argument("--data", type=Path, help="folder of its files, where set-up did not put them")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu")
    add_options(parser, batch=512, learning_rate=8e-4, precision="bf16")
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="eager: a minute less to begin")
    parser.add_argument("--error-images", type=int, default=500, help="training images that each average is held against")
    parser.add_argument("--sheet", type=int, default=8, help="images along a side of the sheets")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(loss_weights=None)
    arguments = parser.parse_args()
    if ARCHITECTURES[arguments.architecture].predicts == "epsilon":
        if arguments.loss_weights not in (None, "epsilon"):
            parser.error(f"--loss-weights: {arguments.architecture} predicts epsilon and learns its plain square: take epsilon")
        arguments.loss_weights = "epsilon"
    arguments.loss_weights = arguments.loss_weights or "min-snr"
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("timed: torch finds no CUDA device here: take --device cpu, or a torch that is built for CUDA")
    arguments.out.mkdir(parents=True, exist_ok=True)
    run = Timed(arguments)
    run.run()
    run.write(arguments.out)


if __name__ == "__main__":
    main()
