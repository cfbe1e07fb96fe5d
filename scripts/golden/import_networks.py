"""Golden values of the importer's parity tests, from the reference implementations, in torch.

    python scripts/golden/import_networks.py --guided-diffusion FOLDER --uvit FOLDER

FOLDER are checkouts of github.com/openai/guided-diffusion (22e0df8) and github.com/baofff/U-ViT (ce551708); they are
run, not copied. Needs torch 2.15, diffusers 0.42.1, einops. Weights, inputs and masks come from the recipe of
scripts/importer/tests/recipe.py, so that each file of scripts/importer/tests/data/ holds outputs and the hash of the
weights alone. The layers that the references set to zero are filled like all others.

Written for each case: `eps` (or `image` and `moments`), `jtv` = J^T cotangent with respect to the sample by autograd,
and `eps_train` with every dropout site multiplied by a given mask over 1 - p, in the order of the forward pass.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from importer.tests import recipe  # noqa: E402


def filled(case: str, module: torch.nn.Module, prefix: str = "") -> str:
    """Fills a module by the recipe; returns the hash of the weights."""
    shapes = {prefix + key: tuple(value.shape) for key, value in module.state_dict().items()}
    arrays = recipe.weights(case, shapes)
    module.load_state_dict({key[len(prefix) :]: torch.from_numpy(value) for key, value in arrays.items()})
    return recipe.digest(arrays)


def masked(case: str, module: torch.nn.Module) -> list[Any]:
    """Replaces every dropout of the module by a given mask; sites count in the order of the calls."""
    n_calls = [0]

    def hook(layer: torch.nn.Dropout, inputs: tuple[torch.Tensor], _: torch.Tensor) -> torch.Tensor | None:
        if layer.p == 0:
            return None
        (x,) = inputs
        if x.ndim == 3:  # behind attention: [n, positions, c] here, [n, c, h, w] in the graph
            keep = recipe.mask(case, n_calls[0], (x.shape[2], x.shape[1])).swapaxes(1, 2)
        else:
            keep = recipe.mask(case, n_calls[0], tuple(x.shape[1:]))
        n_calls[0] += 1
        return x * torch.from_numpy(keep.astype(np.float32)) / (1 - layer.p)

    layers = [layer for layer in module.modules() if isinstance(layer, torch.nn.Dropout)]
    return [layer.register_forward_hook(hook) for layer in layers]


def denoiser(case: str, module: torch.nn.Module, call: Callable[..., torch.Tensor], feeds: dict) -> dict[str, Any]:
    """Outputs, J^T v and the outputs under masks."""
    digest = filled(case, module)
    tensors = {key: torch.from_numpy(value) for key, value in feeds.items()}
    x = tensors["sample"].requires_grad_()
    eps = call(module.eval(), x, tensors["timestep"], tensors.get("label"))
    v = torch.from_numpy(recipe.cotangent(case, tuple(eps.shape[1:])))
    (jtv,) = torch.autograd.grad(eps, x, v)
    found = {"eps": eps.detach().numpy(), "jtv": jtv.numpy(), "weights": digest}
    if any(layer.p > 0 for layer in module.modules() if isinstance(layer, torch.nn.Dropout)):
        hooks = masked(case, module)
        with torch.no_grad():
            found["eps_train"] = call(module.eval(), x, tensors["timestep"], tensors.get("label")).numpy()
        for hook in hooks:
            hook.remove()
    return found


def adm(case: str, flags: dict[str, Any]) -> dict[str, Any]:
    """guided_diffusion.unet.UNetModel."""
    from guided_diffusion.unet import UNetModel

    n_classes = flags["num_classes"] if flags.get("class_cond") else None
    side = flags["image_size"]
    module = UNetModel(
        image_size=side,
        in_channels=3,
        model_channels=flags["num_channels"],
        out_channels=6 if flags.get("learn_sigma") else 3,
        num_res_blocks=flags["num_res_blocks"],
        attention_resolutions=tuple(side // int(res) for res in flags["attention_resolutions"].split(",")),
        dropout=flags.get("dropout", 0.0),
        channel_mult=tuple(int(mult) for mult in flags["channel_mult"].split(",")),
        num_classes=n_classes,
        num_heads=flags.get("num_heads", 4),
        num_head_channels=flags.get("num_head_channels", -1),
        num_heads_upsample=flags.get("num_heads_upsample", -1),
        use_scale_shift_norm=flags.get("use_scale_shift_norm", True),
        resblock_updown=flags.get("resblock_updown", False),
        use_new_attention_order=flags.get("use_new_attention_order", False),
    )
    feeds = recipe.inputs(case, (3, side, side), n_classes)
    return denoiser(case, module, lambda net, x, t, y: net(x, t, y), feeds)


def uvit(case: str, flags: dict[str, Any]) -> dict[str, Any]:
    """libs.uvit.UViT."""
    from libs.uvit import UViT

    arguments = {key: value for key, value in flags.items() if key != "classes"}
    n_classes = flags["num_classes"] if flags.get("num_classes", -1) > 0 else None
    side = flags["img_size"]
    feeds = recipe.inputs(case, (flags["in_chans"], side, side), n_classes)
    return denoiser(case, UViT(**arguments), lambda net, x, t, y: net(x, t, y), feeds)


def unet2d(case: str, flags: dict[str, Any]) -> dict[str, Any]:
    """diffusers.UNet2DModel; the dropout behind attention is set afterwards, as the paper's code does."""
    from diffusers import UNet2DModel
    from diffusers.models.attention_processor import Attention, AttnProcessor

    flags = dict(flags)
    attention_dropout = flags.pop("attention_dropout", 0.0)
    module = UNet2DModel(in_channels=3, out_channels=3, **flags)
    for layer in module.modules():
        if isinstance(layer, Attention):
            layer.to_out[1].p = attention_dropout
            layer.set_processor(AttnProcessor())
    side = flags["sample_size"]
    feeds = recipe.inputs(case, (3, side, side), flags.get("num_class_embeds"))
    return denoiser(case, module, lambda net, x, t, y: net(x, t, y).sample, feeds)


def autoencoder(case: str, flags: dict[str, Any]) -> dict[str, Any]:
    """libs.autoencoder (CompVis' layout) or diffusers.AutoencoderKL: `image` of a latent, `moments` of an image."""
    side = flags["resolution"]
    factor = 2 ** (len(flags["ch_mult"]) - 1)
    latent = torch.from_numpy(recipe.inputs(case, (4, side // factor, side // factor), None)["sample"])
    image = torch.from_numpy(recipe.cotangent(case, (3, side, side)))
    if case == "kl-compvis":
        from libs.autoencoder import Decoder, Encoder

        settings = {"double_z": True, "z_channels": 4, "in_channels": 3, "out_ch": 3, "attn_resolutions": [], **flags}
        module = torch.nn.Module()
        module.encoder, module.decoder = Encoder(**settings), Decoder(**settings)
        module.quant_conv, module.post_quant_conv = torch.nn.Conv2d(8, 8, 1), torch.nn.Conv2d(4, 4, 1)
    else:
        from diffusers import AutoencoderKL

        n = len(flags["ch_mult"])
        module = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * n,
            up_block_types=("UpDecoderBlock2D",) * n,
            block_out_channels=tuple(flags["ch"] * mult for mult in flags["ch_mult"]),
            layers_per_block=flags["num_res_blocks"],
            latent_channels=4,
            sample_size=side,
        )
    digest = filled(case, module)
    with torch.no_grad():
        decoded = module.decoder(module.post_quant_conv(latent)).numpy()
        moments = module.quant_conv(module.encoder(image)).numpy()
    return {"image": decoded, "moments": moments, "weights": digest}


MAKERS = {"adm": adm, "uvi": uvit, "une": unet2d, "kl-": autoencoder}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--guided-diffusion", type=Path, required=True)
    parser.add_argument("--uvit", type=Path, required=True)
    arguments = parser.parse_args()
    sys.path[:0] = [str(arguments.guided_diffusion), str(arguments.uvit)]
    recipe.DATA.mkdir(exist_ok=True)
    for case, (_, flags) in recipe.CASES.items():
        found = MAKERS[case[:3]](case, flags)
        np.savez_compressed(recipe.DATA / f"{case}.npz", **found)
        print(case, {key: getattr(value, "shape", value) for key, value in found.items()})


if __name__ == "__main__":
    main()
