"""ONNX exports of public diffusion networks, narrow, with gradients by PyTorch autograd.

    git clone https://github.com/openai/guided-diffusion (likewise NVlabs/edm, NVlabs/edm2, baofff/U-ViT,
    facebookresearch/DiT) into one folder SOURCES
    pip install torch==2.15.0 onnx==1.23.2 onnxruntime==1.32.0 onnxscript==0.7.2 diffusers==0.42.1 timm==1.0.31 einops
    python scripts/golden/graph_public.py SOURCES harness/graph/tests/data/public

For each network one NAME.onnx.gz an exporter (weights inside, dynamic batch) and one NAME.json: inputs, prediction,
cotangent v, J^T v, and the variance of the rows with its gradient. Computed in float64 where the network's code lets
it, else in float32 (edm and edm2 cast inside); `tool` says which. Nothing of the networks' code is kept here.
"""

import argparse
import gzip
import json
import math
import sys
import types
from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from graph_fixtures import slim
from torch import Tensor, nn

SEED, BATCH = 20261128, 2
Inputs = dict[str, Tensor]


def image(channels: int, size: int) -> Tensor:
    """A batch of states."""
    return torch.randn(BATCH, channels, size, size, generator=torch.Generator().manual_seed(SEED))


def noise(*shape: int) -> Tensor:
    """A condition."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(SEED + 3))


class Plain(nn.Module):
    """A network as a function of tensors in the order of its inputs; the first tensor of what it returns."""

    def __init__(self, net: nn.Module, call: Callable) -> None:
        super().__init__()
        self.net, self.call = net, call

    def forward(self, *tensors: Tensor) -> Tensor:
        return self.call(self.net, *tensors)


def unet2d() -> tuple[nn.Module, Inputs]:
    """diffusers UNet2DModel."""
    from diffusers import UNet2DModel

    net = UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 12),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    call = lambda net, x, t: net(x, t, return_dict=False)[0]
    return Plain(net, call), {"sample": image(3, 8), "timestep": torch.tensor([10, 700])}


def sd_unet() -> tuple[nn.Module, Inputs]:
    """diffusers UNet2DConditionModel, as Stable Diffusion has it."""
    from diffusers import UNet2DConditionModel

    net = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        cross_attention_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
    )
    call = lambda net, x, t, text: net(x, t, text, return_dict=False)[0]
    text = noise(BATCH, 5, 8)
    return Plain(net, call), {"sample": image(4, 8), "timestep": torch.tensor([10, 700]), "text": text}


def sd3() -> tuple[nn.Module, Inputs]:
    """diffusers SD3Transformer2DModel."""
    from diffusers import SD3Transformer2DModel

    net = SD3Transformer2DModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=8,
        caption_projection_dim=16,
        pooled_projection_dim=8,
        pos_embed_max_size=8,
        qk_norm="rms_norm",
    )
    call = lambda net, x, t, text, pooled: net(x, text, pooled, t, return_dict=False)[0]
    inputs = {"sample": image(4, 8), "timestep": torch.tensor([10.0, 700.0])}
    return Plain(net, call), inputs | {"text": noise(BATCH, 5, 8), "pooled": noise(BATCH, 8)}


def dit() -> tuple[nn.Module, Inputs]:
    """facebookresearch/DiT, learned variance."""
    from models import DiT

    net = DiT(input_size=8, patch_size=2, in_channels=4, hidden_size=16, depth=2, num_heads=2, num_classes=10)
    call = lambda net, x, t, y: net(x, t, y)
    inputs = {"sample": image(4, 8), "timestep": torch.tensor([10, 700])}
    return Plain(net, call), inputs | {"label": torch.tensor([3, 10])}


def uvit() -> tuple[nn.Module, Inputs]:
    """baofff/U-ViT."""
    from libs.uvit import UViT

    net = UViT(img_size=8, patch_size=2, embed_dim=16, depth=2, num_heads=2, num_classes=10, mlp_ratio=2)
    call = lambda net, x, t, y: net(x, t, y)
    inputs = {"sample": image(3, 8), "timestep": torch.tensor([10.0, 700.0])}
    return Plain(net, call), inputs | {"label": torch.tensor([3, 9])}


def uvit_cfg() -> tuple[nn.Module, Inputs]:
    """The same under classifier-free guidance of scale 3, both halves in one batch inside the graph."""
    net, inputs = uvit()

    def call(net: nn.Module, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        null = torch.zeros_like(y)
        both = net(torch.cat([x, x]), torch.cat([t, t]), torch.cat([null, y]))
        without, with_class = both.chunk(2)
        return without + 3.0 * (with_class - without)

    return Plain(net.net, call), inputs


def edm(kind: str) -> tuple[nn.Module, Inputs]:
    """NVlabs/edm: a backbone in its preconditioning."""
    from training import networks
    from training.networks import EDMPrecond

    class Narrow(networks.UNetBlock):
        """Heads of 8 channels: theirs have 64, and a block of fewer channels gets no attention at all."""

        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options | {"channels_per_head": 8})

    networks.UNetBlock = Narrow
    narrow = {"model_channels": 8, "channel_mult": [1, 1], "num_blocks": 1, "attn_resolutions": [4]}
    if kind == "SongUNet":
        narrow |= {"channel_mult_noise": 1, "resample_filter": [1, 3, 3, 1], "encoder_type": "residual"}
    net = EDMPrecond(8, 3, label_dim=4, model_type=kind, **narrow)
    call = lambda net, x, sigma, label: net(x, sigma, label)
    inputs = {"sample": image(3, 8), "sigma": torch.tensor([0.3, 2.0])}
    return Plain(net, call), inputs | {"label": torch.eye(4)[[1, 3]]}


def both_axes(convolution: Callable) -> Callable:
    """The function, with a padding of one number written for both axes: the exporter copies it as it stands."""

    def call(*tensors: Tensor, padding: tuple[int, ...] | int = 0, **rest: object) -> Tensor:
        twice = isinstance(padding, tuple) and len(padding) == 1
        return convolution(*tensors, padding=padding * 2 if twice else padding, **rest)

    return call


def edm2() -> tuple[nn.Module, Inputs]:
    """NVlabs/edm2 in its preconditioning."""
    from training import networks_edm2
    from training.networks_edm2 import Precond

    def normalize(x: Tensor, dim: int | None = None, eps: float = 1e-4) -> Tensor:
        """As theirs, with the count of elements from the axes: theirs takes a NumPy root of symbolic counts."""
        axes = list(range(1, x.ndim)) if dim is None else [dim]
        norm = torch.linalg.vector_norm(x, dim=axes, keepdim=True)
        return x / (eps + norm / math.prod(x.shape[a] for a in axes) ** 0.5)

    networks_edm2.normalize = normalize
    for name in ("conv2d", "conv_transpose2d"):
        setattr(nn.functional, name, both_axes(getattr(nn.functional, name)))
    net = Precond(
        8, 3, label_dim=4, use_fp16=False, model_channels=8, channel_mult=[1, 2], num_blocks=1, attn_resolutions=[4],
        channels_per_head=8, logvar_channels=8,
    )  # fmt: skip
    call = lambda net, x, sigma, label: net(x, sigma, label)
    inputs = {"sample": image(3, 8), "sigma": torch.tensor([0.3, 2.0])}
    return Plain(net, call), inputs | {"label": torch.eye(4)[[1, 3]]}


def adm() -> tuple[nn.Module, Inputs]:
    """openai/guided-diffusion, class-conditional, learned variance."""
    from guided_diffusion import nn as adm_nn
    from guided_diffusion import unet

    # Neither exporter takes the checkpointing function: a plain call gives the same values.
    adm_nn.checkpoint = unet.checkpoint = lambda function, inputs, parameters, flag: function(*inputs)
    unet.normalization = lambda channels: nn.GroupNorm(4, channels)
    net = unet.UNetModel(
        image_size=8, in_channels=3, model_channels=8, out_channels=6, num_res_blocks=1, attention_resolutions=(2,),
        channel_mult=(1, 1), num_classes=10, num_head_channels=8, resblock_updown=True, use_scale_shift_norm=True,
        use_new_attention_order=False,
    )  # fmt: skip
    call = lambda net, x, t, y: net(x, t, y)
    inputs = {"sample": image(3, 8), "timestep": torch.tensor([10.0, 700.0])}
    return Plain(net, call), inputs | {"label": torch.tensor([3, 9])}


# The traced exporter loses the shape of a weight that the forward pass computes, and stops at its convolution.
ONLY_DYNAMO = ("edm_song", "edm_adm", "edm2")
NETWORKS: dict[str, tuple[str, Callable[[], tuple[nn.Module, Inputs]], int]] = {
    # name: folder of its code, network, operator set of the dynamo export (0: traced alone)
    "unet2d": ("", unet2d, 18),
    "sd_unet": ("", sd_unet, 20),
    "sd3": ("", sd3, 23),
    "dit": ("DiT", dit, 22),
    "uvit": ("U-ViT", uvit, 24),
    "uvit_cfg": ("U-ViT", uvit_cfg, 0),
    "edm_song": ("edm", lambda: edm("SongUNet"), 18),
    "edm_adm": ("edm", lambda: edm("DhariwalUNet"), 21),
    "edm2": ("edm2", edm2, 18),
    "adm": ("guided-diffusion", adm, 25),
}


def awake(net: nn.Module) -> nn.Module:
    """No branch that starts near zero stays there, no gain is zero, and no norm has the scale one."""
    generator = torch.Generator().manual_seed(SEED + 1)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("gain"):
                parameter.fill_(1.0)
            elif parameter.abs().max() < 1e-3 or "norm" in name:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return net.eval()


def export(net: nn.Module, inputs: Inputs, path: Path, exporter: str, opset: int) -> None:
    """Write the forward graph with a dynamic batch."""
    names = {"input_names": list(inputs), "output_names": ["out"], "opset_version": opset}
    if exporter == "dynamo":
        batch = torch.export.Dim("batch")
        shapes = (tuple({0: batch} for _ in inputs),)
        options = {"dynamic_shapes": shapes, "external_data": False, "verbose": False}
        torch.onnx.export(net, tuple(inputs.values()), path, dynamo=True, **options, **names)
    else:
        axes = {name: {0: "batch"} for name in [*inputs, "out"]}
        torch.onnx.export(net, tuple(inputs.values()), path, dynamo=False, dynamic_axes=axes, **names)
    slim(path)


def half(path: Path, out: Path) -> None:
    """The graph in float16 with float32 ends, as the converter of ONNX Runtime makes it."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    out.parent.mkdir(exist_ok=True)
    onnx.save(convert_float_to_float16(onnx.load(path), keep_io_types=True), out)


def packed(path: Path) -> int:
    """Puts NAME.onnx.gz in the place of NAME.onnx; returns its size. The same graph makes the same bytes."""
    content = gzip.compress(path.read_bytes(), 9, mtime=0)
    path.with_name(f"{path.name}.gz").write_bytes(content)
    path.unlink()
    return len(content)


def golden(net: nn.Module, inputs: Inputs) -> tuple[str, dict[str, Tensor]]:
    """Prediction, J^T v, variance of the rows and its gradient; and the precision they have."""
    wide = lambda t: t.double() if t.is_floating_point() else t
    net, given = net.double(), {name: wide(t) for name, t in inputs.items()}
    try:
        precision, _ = "float64", net(*given.values())
    except RuntimeError:
        precision, net, given = "float32", net.float(), inputs
    x = given["sample"].clone().requires_grad_()
    rest = list(given.values())[1:]
    out = net(x, *rest)
    if out.dtype == torch.float32:
        precision = "float32"
    v = torch.randn(out.shape, generator=torch.Generator().manual_seed(SEED + 2))
    (jtv,) = torch.autograd.grad(out, x, v.to(out))
    shift = torch.zeros_like(x[:1], requires_grad=True)
    moved = net(x.detach() + shift, *rest)[:, : x.shape[1]]
    variance = moved.var(dim=0, unbiased=True, keepdim=True)
    (gradient,) = torch.autograd.grad(variance.sum(), shift)
    net.float()
    return precision, {
        **inputs, "out": out, "cotangent": v, "jtv": jtv, "variance": variance, "gradient": gradient
    }  # fmt: skip


def write(path: Path, inputs: Inputs, precision: str, arrays: dict[str, Tensor]) -> None:
    """One JSON of shapes and flat values."""
    data = {}
    for name, array in arrays.items():
        flat = array.detach().flatten().tolist()
        values = [float(f"{v:.9g}") if isinstance(v, float) else v for v in flat]
        data[name] = {"shape": list(array.shape), "values": values}
    tool = f"torch {torch.__version__.split('+')[0]} autograd, {precision}"
    document = {"tool": tool, "seed": SEED, "inputs": list(inputs), "arrays": data}
    path.write_text(json.dumps(document, separators=(",", ":")) + "\n")


def imported(folder: Path) -> None:
    """Makes one repository importable, and forgets the modules of the one before: some share names."""
    for name in [n for n in sys.modules if n.split(".")[0] in {"models", "libs", "training", "torch_utils", "dnnlib"}]:
        del sys.modules[name]
    sys.path[:] = [p for p in sys.path if not p.startswith(str(folder.parent))]
    sys.path.insert(0, str(folder))


def main() -> int:
    """Write the named networks, all where none is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, help="folder of the cloned repositories")
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*", choices=[[], *NETWORKS], default=[])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    # guided-diffusion imports MPI for training alone.
    sys.modules.setdefault("mpi4py", types.SimpleNamespace(MPI=None))
    failed = 0
    for name in given.names or NETWORKS:
        folder, make, opset = NETWORKS[name]
        if folder:
            imported(given.sources / folder)
        torch.manual_seed(SEED)
        net, inputs = make()
        awake(net)
        precision, arrays = golden(net, inputs)
        write(given.out / f"{name}.json", inputs, precision, arrays)
        exporters = [] if name in ONLY_DYNAMO else [("traced", 17)]
        for exporter, version in exporters + ([("dynamo", opset)] if opset else []):
            path = given.out / f"{name}_{exporter}_{version}.onnx"
            try:
                export(net, inputs, path, exporter, version)
            except Exception as error:  # noqa: BLE001: one exporter that fails must not stop the others
                failed += 1
                print(f"{path.name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
                continue
            onnx.checker.check_model(path)
            if name == "uvit" and exporter == "dynamo":
                half(path, given.out / "half" / path.name)
                packed(given.out / "half" / path.name)
            n, size = sum(p.numel() for p in net.parameters()), packed(path)
            print(f"{path.name}.gz: {size} bytes, {n} parameters, {precision}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
