"""The architectures that the command knows: configuration, what a bundle says of them, where they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import adm, autoencoder, options, unet2d, uvit
from .graph import Network

LINEAR = {"kind": "linear", "beta_start": 1e-4, "beta_end": 0.02, "n_train_steps": 1000}
COSINE = {"kind": "cosine", "n_train_steps": 1000}
SCALED_LINEAR = {"kind": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "n_train_steps": 1000}
# Keys of --config that are ours: what a checkpoint does not say and the bundle must.
OURS = ("classes", "schedule")


@dataclass(frozen=True)
class Denoiser:
    """A network with what its bundle says of it."""

    build: Callable[..., Network]
    config: Any
    shape: tuple[int, int, int]
    classes: int | None
    schedule: Mapping[str, Any]
    offset: int = 0
    prediction: str = "epsilon"
    latent: bool = False


@dataclass(frozen=True)
class Architecture:
    """One word of the command line."""

    reference: str
    data: str
    licence: str
    raw: Mapping[str, Any]
    read: Callable[[Mapping[str, Any]], Denoiser] | None = None


_GUIDED = "guided-diffusion (github.com/openai/guided-diffusion), arXiv:2105.05233"
_UVIT = "U-ViT (github.com/baofff/U-ViT), arXiv:2209.12152"
_MIT = "MIT, the licence of the repository that publishes it"
_ADM_IGNORED = ("use_checkpoint", "use_fp16", "timestep_respacing", "use_kl", "rescale_learned_sigmas", *OURS)
_ADM_DEFAULT_MULT = {512: (0.5, 1, 1, 2, 2, 4, 4), 256: (1, 1, 2, 2, 4, 4), 128: (1, 1, 2, 3, 4), 64: (1, 2, 3, 4)}


def _schedule(raw: Mapping[str, Any], default: Mapping[str, Any]) -> Mapping[str, Any]:
    chosen = raw.get("schedule", default)
    if not isinstance(chosen, dict) or set(chosen) != set({"cosine": COSINE}.get(chosen.get("kind"), LINEAR)):
        raise options.fault("schedule", f"is {chosen!r}", f"write it as in model.yaml, for example {LINEAR}")
    return chosen


def _classes(raw: Mapping[str, Any], n_rows: int | None) -> int | None:
    """Classes that labels are drawn from: at most the rows of the table, fewer where some stand for "no class"."""
    chosen = raw.get("classes", n_rows)
    if (chosen is None) != (n_rows is None) or (
        chosen is not None and not (type(chosen) is int and 0 < chosen <= n_rows)
    ):
        raise options.fault(
            "classes", f"is {chosen!r}, the network has {n_rows} rows of labels", "write 1 to that number"
        )
    return chosen


def _adm(raw: Mapping[str, Any]) -> Denoiser:
    raw = dict(raw)
    schedule = raw.pop("noise_schedule", "linear")
    if schedule not in ("linear", "cosine"):
        raise options.fault("noise_schedule", f"is {schedule!r}", "use linear or cosine")
    start = raw.pop("predict_xstart", False) in (True, "True")
    conditional = raw.pop("class_cond", False) in (True, "True", "true")
    raw["num_classes"] = raw.get("num_classes", 1000) if conditional else None
    raw = {"image_size": 64, "num_channels": 128, "num_res_blocks": 2, "attention_resolutions": "16,8", **raw}
    if raw.get("channel_mult", "") == "":
        raw["channel_mult"] = list(_ADM_DEFAULT_MULT.get(raw["image_size"], ()))
    config = options.config(
        adm.Config, raw, fixed={"diffusion_steps": 1000, "rescale_timesteps": False}, ignored=_ADM_IGNORED
    )
    _check_adm(config)
    shape = (3, config.image_size, config.image_size)
    default = LINEAR if schedule == "linear" else COSINE
    prediction = "x0" if start else "epsilon"
    classes = _classes(raw, config.num_classes)
    return Denoiser(adm.build, config, shape, classes, _schedule(raw, default), prediction=prediction)


def _check_adm(config: adm.Config) -> None:
    options.positive(config, "image_size", "num_channels", "num_res_blocks", "channel_mult", "attention_resolutions")
    _ratio("dropout", config.dropout)
    for mult in config.channel_mult:
        options.divides(adm.N_GROUPS, config.width(mult), "num_channels", "a level")
    options.divides(2 ** (len(config.channel_mult) - 1), config.image_size, "image_size", "a side")
    by_side = {config.image_size >> level: config.width(mult) for level, mult in enumerate(config.channel_mult)}
    widths = [width for side, width in by_side.items() if side in config.attention_resolutions]
    for width in [*widths, config.width(config.channel_mult[-1])]:
        if config.num_head_channels != -1:
            options.divides(config.num_head_channels, width, "num_head_channels", "a width")
        else:
            options.divides(config.num_heads, width, "num_heads", "a width")


def _uvit(raw: Mapping[str, Any]) -> Denoiser:
    config = options.config(uvit.Config, raw, fixed={"qk_scale": None}, ignored=("use_checkpoint", "name", *OURS))
    options.positive(config, "img_size", "patch_size", "in_chans", "embed_dim", "num_heads", "mlp_ratio")
    options.divides(config.patch_size, config.img_size, "patch_size", "a side")
    options.divides(config.num_heads, config.embed_dim, "num_heads", "a width")
    options.divides(2, config.embed_dim, "embed_dim", "a width")
    shape = (config.in_chans, config.img_size, config.img_size)
    classes = _classes(raw, config.num_classes if config.num_classes > 0 else None)
    # Trained with times 1..1000, where x_n has n factors of alpha; the harness counts from 0.
    return Denoiser(uvit.build, config, shape, classes, _schedule(raw, SCALED_LINEAR), offset=1, latent=True)


_UNET2D_FIXED = {
    "center_input_sample": False,
    "time_embedding_type": "positional",
    "time_embedding_dim": None,
    "mid_block_type": "UNetMidBlock2D",
    "mid_block_scale_factor": 1,
    "downsample_type": "conv",
    "upsample_type": "conv",
    "act_fn": "silu",
    "attn_norm_num_groups": None,
    "class_embed_type": None,
    "num_train_timesteps": None,
}


def _unet2d(raw: Mapping[str, Any]) -> Denoiser:
    ignored = ("_class_name", "_diffusers_version", "_name_or_path", *OURS)
    config = options.config(unet2d.Config, raw, fixed=_UNET2D_FIXED, ignored=ignored)
    _check_unet2d(config)
    shape = (config.in_channels, config.sample_size, config.sample_size)
    classes = _classes(raw, config.num_class_embeds)
    return Denoiser(unet2d.build, config, shape, classes, _schedule(raw, LINEAR))


def _check_unet2d(config: unet2d.Config) -> None:
    options.positive(config, "sample_size", "block_out_channels", "layers_per_block", "norm_num_groups", "norm_eps")
    if (config.in_channels, config.out_channels) not in ((3, 3), (3, 6)):
        raise options.fault("in_channels", f"is {config.in_channels}, images have 3", "give a network of RGB images")
    if not len(config.block_out_channels) == len(config.down_block_types) == len(config.up_block_types):
        raise options.fault("block_out_channels", "is not as long as the lists of blocks", "write one width a block")
    for key, kinds in (("down_block_types", unet2d.DOWN), ("up_block_types", unet2d.UP)):
        for kind in getattr(config, key):
            if kind not in kinds:
                raise options.fault(key, f"names {kind}, the importer knows {', '.join(kinds)}", "export it by torch")
    if config.resnet_time_scale_shift != "default":
        raise options.fault("resnet_time_scale_shift", f"is {config.resnet_time_scale_shift}", "export it by torch")
    for width in config.block_out_channels:
        options.divides(config.norm_num_groups, width, "block_out_channels", "a level")
        options.divides(config.attention_head_dim or width, width, "attention_head_dim", "a width")
    options.divides(2 ** (len(config.block_out_channels) - 1), config.sample_size, "sample_size", "a side")
    _ratio("dropout", config.dropout)
    _ratio("attention_dropout", config.attention_dropout)


def read_autoencoder(raw: Mapping[str, Any]) -> autoencoder.Config:
    """Sizes of an autoencoder from a CompVis `ddconfig` (with `embed_dim`)."""
    fixed = {"double_z": True, "attn_resolutions": [], "dropout": 0.0}
    config = options.config(autoencoder.Config, raw, fixed=fixed)
    options.positive(config, *vars(config))
    for mult in config.ch_mult:
        options.divides(autoencoder.N_GROUPS, config.ch * mult, "ch", "a level")
    options.divides(2 ** (len(config.ch_mult) - 1), config.resolution, "resolution", "a side")
    return config


def _ratio(key: str, value: float) -> None:
    if not 0.0 <= value < 1.0:
        raise options.fault(key, f"is {value}, expected a number in [0, 1)", "check the number")


# fmt: off
_ADM = {"attention_resolutions": "32,16,8", "class_cond": True, "learn_sigma": True, "resblock_updown": True}
_HUGE = {"in_chans": 4, "embed_dim": 1152, "depth": 28, "num_heads": 16, "num_classes": 1001, "classes": 1000,
         "conv": False}
ARCHITECTURES: Mapping[str, Architecture] = {
    "adm64": Architecture(
        _GUIDED, "ImageNet 64x64", _MIT,
        {**_ADM, "image_size": 64, "num_channels": 192, "num_head_channels": 64, "num_res_blocks": 3, "dropout": 0.1,
         "noise_schedule": "cosine", "use_new_attention_order": True},
        _adm,
    ),
    "adm128": Architecture(
        _GUIDED, "ImageNet 128x128", _MIT,
        {**_ADM, "image_size": 128, "num_channels": 256, "num_heads": 4, "num_res_blocks": 2},
        _adm,
    ),
    "uvit256": Architecture(_UVIT, "ImageNet 256x256", _MIT, {**_HUGE, "img_size": 32, "patch_size": 2}, _uvit),
    "uvit512": Architecture(_UVIT, "ImageNet 512x512", _MIT, {**_HUGE, "img_size": 64, "patch_size": 4}, _uvit),
    "ddpm-cifar10-32": Architecture(
        "UNet2DModel of diffusers, the network of arXiv:2006.11239", "CIFAR-10",
        "Apache-2.0, as the page of google/ddpm-cifar10-32 says",
        {"sample_size": 32, "block_out_channels": [128, 256, 256, 256], "downsample_padding": 0,
         "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
         "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
         "flip_sin_to_cos": False, "freq_shift": 1, "attention_head_dim": None, "norm_eps": 1e-6,
         "dropout": 0.1, "attention_dropout": 0.1},
        _unet2d,
    ),
    "autoencoder-kl": Architecture(
        "KL autoencoder with factor 8 of latent diffusion, arXiv:2112.10752", "natural images",
        "that of the Stable Diffusion weights which it comes with (CreativeML Open RAIL-M)", {},
    ),
}
# fmt: on
