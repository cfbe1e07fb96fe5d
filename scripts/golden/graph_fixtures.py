"""ONNX fixtures of tiny diffusion networks, with gradients and masked outputs by PyTorch autograd.

    python scripts/golden/graph_fixtures.py harness/graph/tests/data

Needs torch (see scripts/train/README.md), onnx and onnxscript. For each network and exporter one NAME.onnx (weights
inside, dynamic batch) and one NAME.json: inputs, prediction, cotangent v, J^T v, computed in float64. The train-mode
graph has dropout masks and the prediction under them instead. Everything follows from the seed.
"""

import argparse
import json
import sys
from pathlib import Path

import onnx
import torch
from graph_networks import SIZE, Adm, Ddpm, UVit
from torch import Tensor, nn

SEED, BATCH = 20241130, 3
CASES = [
    # name, network, exporter, opset
    ("ddpm_traced_17", Ddpm, "traced", 17),
    ("ddpm_dynamo_20", Ddpm, "dynamo", 20),
    ("adm_traced_13", Adm, "traced", 13),
    ("adm_dynamo_18", Adm, "dynamo", 18),
    ("uvit_traced_17", UVit, "traced", 17),
    ("uvit_dynamo_20", UVit, "dynamo", 20),
]


def network(kind: type[nn.Module]) -> nn.Module:
    """A network whose weights leave no branch near zero."""
    torch.manual_seed(SEED)
    net = kind()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "norm" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return net.eval()


def inputs(n: int) -> tuple[Tensor, Tensor]:
    """States and times of n images."""
    generator = torch.Generator().manual_seed(SEED + 1)
    return torch.randn(n, 3, SIZE, SIZE, generator=generator), 3.0 + 2.5 * torch.arange(n)


def export(net: nn.Module, path: Path, exporter: str, opset: int, *, train: bool = False) -> None:
    """Write the forward graph with a dynamic batch."""
    net.train(train)
    names = {"input_names": ["sample", "timestep"], "output_names": ["eps"], "opset_version": opset}
    if exporter == "dynamo":
        batch = torch.export.Dim("batch")
        shapes = {"x": {0: batch}, "t": {0: batch}}
        options = {"dynamic_shapes": shapes, "external_data": False, "verbose": False}
        torch.onnx.export(net, inputs(BATCH), path, dynamo=True, **options, **names)
    else:
        mode = torch.onnx.TrainingMode.TRAINING if train else torch.onnx.TrainingMode.EVAL
        axes = {name: {0: "batch"} for name in ("sample", "timestep", "eps")}
        options = {"training": mode, "do_constant_folding": not train, "dynamic_axes": axes}
        torch.onnx.export(net, inputs(BATCH), path, dynamo=False, **options, **names)
    slim(path)
    net.eval()


def slim(path: Path) -> None:
    """Drop traces of source lines, which are most of a small file."""
    model = onnx.load(path)
    model.doc_string = ""
    model.graph.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.graph.value_info[:]
    del model.metadata_props[:]
    for value in [*model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
    onnx.save(model, path)


def variance_golden(net: nn.Module) -> dict:
    """The rows as draws of one sample: variance [1, c, h, w] of the noise channels, gradient of its sum by a shift."""
    x, t = inputs(BATCH)
    shift = torch.zeros(1, *x.shape[1:], dtype=torch.float64, requires_grad=True)
    variance = net(x.double() + shift, t.double())[:, :3].var(dim=0, unbiased=True, keepdim=True)
    (gradient,) = torch.autograd.grad(variance.sum(), shift)
    return {"variance": variance, "gradient": gradient}


def gradient_golden(net: nn.Module) -> dict:
    """Prediction, J^T v, variance and its gradient in float64."""
    net = net.double()
    x, t = inputs(BATCH)
    x = x.double().requires_grad_()
    eps = net(x, t.double())
    v = torch.randn(eps.shape, generator=torch.Generator().manual_seed(SEED + 2))
    (jtv,) = torch.autograd.grad(eps, x, v.double())
    arrays = {"sample": x, "timestep": t, "eps": eps, "cotangent": v, "jtv": jtv, **variance_golden(net)}
    net.float()
    return arrays


class FixedMask(nn.Module):
    """Inverted dropout under a given mask [n, ...]."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.mask is None:
            generator = torch.Generator().manual_seed(SEED + x.shape[1])
            self.mask = (torch.rand(x.shape, generator=generator) >= self.p).to(x)
        return x * self.mask / (1 - self.p)


def masked_golden(net: nn.Module) -> dict:
    """Prediction under random masks; the masks in the order in which the network asks for them."""
    sites: list[FixedMask] = []
    for module in net.modules():
        if isinstance(getattr(module, "dropout", None), nn.Dropout):
            module.dropout = FixedMask(module.dropout.p)
            sites.append(module.dropout)
    x, t = inputs(BATCH)
    net = net.double()
    with torch.no_grad():
        eps = net(x.double(), t.double())
    masks = torch.cat([site.mask.reshape(BATCH, -1) for site in sites], dim=1)
    return {"sample": x, "timestep": t, "eps": eps, "masks": masks}


def write(path: Path, arrays: dict[str, Tensor], **facts: object) -> None:
    """One JSON of shapes and flat values."""
    data = {}
    for name, array in arrays.items():
        flat = array.detach().flatten().tolist()
        values = [int(v) if name == "masks" else float(f"{v:.9g}") for v in flat]
        data[name] = {"shape": list(array.shape), "values": values}
    document = {"tool": f"torch {torch.__version__} autograd, float64", "seed": SEED, **facts, "arrays": data}
    path.write_text(json.dumps(document, separators=(",", ":")) + "\n")


def main() -> int:
    """Write all fixtures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the fixtures go, harness/graph/tests/data in the project")
    folder = parser.parse_args().folder
    if not folder.is_dir():
        print(f"{folder}: no such folder, create it first", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    for name, kind, exporter, opset in CASES:
        net = network(kind)
        export(net, folder / f"{name}.onnx", exporter, opset)
        write(folder / f"{name}.json", gradient_golden(net), exporter=exporter, opset=opset)
        print(f"{name}: {(folder / f'{name}.onnx').stat().st_size} bytes")
    net = network(Ddpm)
    export(net, folder / "ddpm_train_17.onnx", "traced", 17, train=True)
    write(folder / "ddpm_train_17.json", masked_golden(net), exporter="traced", opset=17)
    return 0


if __name__ == "__main__":
    sys.exit(main())
