"""Milliseconds an evaluation of the repository's network in PyTorch, by batch and precision, eager and compiled: JSON."""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "train"))
from safetensors import safe_open  # noqa: E402
from unet import Config, UNet  # noqa: E402


def network(path: Path) -> UNet:
    """The network with its weights."""
    with safe_open(path, "pt") as file:
        config = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(file.metadata()["config"]).items()}
        model = UNet(Config(**config)).eval()
        model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})
    return model


@torch.inference_mode()
def milliseconds(model: torch.nn.Module, batch: int, device: str, half: bool, rounds: int) -> float:
    """The fastest of some rounds, an evaluation."""
    x = torch.randn(batch, 3, 32, 32, device=device).contiguous(memory_format=torch.channels_last)
    t = torch.full((batch,), 500, device=device)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    best = float("inf")
    with torch.autocast(device, torch.float16 if device == "cuda" else torch.bfloat16, enabled=half):
        for _ in range(rounds + 2):
            begin = time.perf_counter()
            model(x, t)
            wait()
            best = min(best, time.perf_counter() - begin)
    return 1e3 * best / batch


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batches", default="1,32,256")
    parser.add_argument("--quick", action="store_true", help="one round, and nothing compiled")
    a = parser.parse_args()
    torch.set_num_threads(1 if a.device == "cpu" else torch.get_num_threads())
    model = network(a.weights).to(a.device, memory_format=torch.channels_last)
    ways = {"eager": model} if a.quick else {"eager": model, "compiled": torch.compile(model)}
    rows = []
    for precision in ("float32", "tf32", "float16"):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "float32"
        for way, net in ways.items():
            for batch in map(int, a.batches.split(",")):
                ms = milliseconds(net, batch, a.device, precision == "float16", 1 if a.quick else 20)
                rows.append({"precision": precision, "way": way, "batch": batch, "ms": round(ms, 4)})
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
