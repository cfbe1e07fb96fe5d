"""Command line: `just import ARCHITECTURE CHECKPOINT [-o FOLDER] [--config FILE.json] [--half | --weights half]`."""

from __future__ import annotations

import argparse
import errno
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from setup.errors import SetupError, bad_input, resources, usage

from . import autoencoder, card
from .architectures import ARCHITECTURES, Architecture, Denoiser, read_autoencoder
from .bundle import Bundle, appearing, refuse_taken
from .checkpoint import Checkpoint, open_checkpoint
from .graph import Network
from .match import match
from .options import read_json
from .weights import Source

_MODELS = Path(__file__).resolve().parents[2] / "experiments" / "models"
_LATENT_SCALE = 0.18215
_DTYPES = {
    "full": "float32",
    "half": "float32, stored in float16",
    "float16": "float16; norms and embeddings float32",
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="just import",
        description="Turns a published checkpoint into a bundle for dubench, without torch.",
        epilog="Exit codes: 0 written, 2 options, 3 the file does not fit, 5 the file is damaged, 7 disk or memory. "
        "docs/importing.md says where checkpoints come from.",
    )
    parser.add_argument("architecture", choices=ARCHITECTURES, help="what the checkpoint is")
    parser.add_argument("checkpoint", type=Path, help="its file: .pt, .pth, .bin or .safetensors")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="new folder (experiments/models/ARCHITECTURE)"
    )
    parser.add_argument("--config", type=Path, metavar="FILE.json", help="sizes in the words of the reference code")
    parser.add_argument(
        "--half", action="store_true", help="float16 weights and activations; inputs and output stay f32"
    )
    parser.add_argument(
        "--weights", choices=["full", "half"], default="full", help="half: stored in float16, computed with in f32"
    )
    parser.add_argument(
        "--autoencoder", type=Path, metavar="FILE", help="checkpoint of the decoder, for a latent model"
    )
    parser.add_argument(
        "--autoencoder-config", type=Path, metavar="FILE.json", help="its sizes, if they are not KL-f8's"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        folder = _import(options)
    except SetupError as error:
        print(f"import: {error}", file=sys.stderr)
        return error.exit_code
    except (OSError, MemoryError) as error:
        failure = _from_system(error)
        print(f"import: {failure}", file=sys.stderr)
        return failure.exit_code
    except KeyboardInterrupt:
        print("import: interrupted; nothing was written", file=sys.stderr)
        return 75
    print(folder)
    return 0


def _from_system(error: OSError | MemoryError) -> SetupError:
    if isinstance(error, MemoryError):
        return resources("the memory does not hold the largest tensor", "run it on a machine with more memory")
    where = error.filename or "the output folder"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return resources(f"no space left while writing {where}", "free some, or choose another disk by -o")
    return resources(f"{where}: {error.strerror or error}", "check the path and its permissions")


def _import(options: argparse.Namespace) -> Path:
    if options.half and options.weights == "half":
        raise usage("--half stores weights in float16 already", "leave --weights half out")
    about = ARCHITECTURES[options.architecture]
    target = _target(options)
    raw = read_json(options.config) if options.config else about.raw
    if about.read is None:
        _refuse_autoencoder(options)
        bundle, configs = _decoder_alone(target.name, options, raw)
    else:
        bundle, configs = _denoiser(target.name, about.read(raw), options, about)
    with appearing(target) as folder:
        bundle.write(folder)
        own = options.config is not None
        dtype = _DTYPES["float16" if options.half else options.weights]
        card.write(folder, bundle, (options.architecture, about), configs, own_config=own, dtype=dtype)
    return target


def _target(options: argparse.Namespace) -> Path:
    if options.output is None and options.config is not None:
        raise usage("--config makes another network", "say by -o which folder it goes to")
    target = options.output or _MODELS / options.architecture
    refuse_taken(target)
    return target


def _refuse_autoencoder(options: argparse.Namespace) -> None:
    if options.autoencoder or options.autoencoder_config:
        raise usage(f"{options.architecture} takes no --autoencoder", "leave it out: only latent models have a decoder")


def _denoiser(
    name: str, denoiser: Denoiser, options: argparse.Namespace, about: Architecture
) -> tuple[Bundle, list[object]]:
    checkpoint = open_checkpoint(options.checkpoint)
    networks = _graphs(denoiser, checkpoint, options)
    source = _source([networks["denoiser.onnx"]], checkpoint, options.architecture, options)
    sources, configs = [source], [denoiser.config]
    if denoiser.latent:
        decoder, config = _beside(denoiser, options)
        networks |= decoder[0]
        sources.append(decoder[1])
        configs.append(config)
    else:
        _refuse_autoencoder(options)
    bundle = Bundle(name, networks, sources, _provenance(options, about, sources), denoiser, _LATENT_SCALE)
    return bundle, configs


def _graphs(denoiser: Denoiser, checkpoint: Checkpoint, options: argparse.Namespace) -> dict[str, Network]:
    kind = {"half": options.half, "keys": frozenset(checkpoint.tensors)}
    networks = {"denoiser.onnx": denoiser.build(denoiser.config, **kind)}
    train = denoiser.build(denoiser.config, train=True, **kind)
    if train.graph.n_dropouts:
        networks["denoiser_train.onnx"] = replace(train, name=f"{train.name}_train")
    return _stored(networks, options)


def _stored(networks: dict[str, Network], options: argparse.Namespace) -> dict[str, Network]:
    """The networks with their weights stored as the command line says."""
    if options.weights == "half":
        for network in networks.values():
            network.graph.store_in_half()
    return networks


def _source(networks: list[Network], checkpoint: Checkpoint, what: str, options: argparse.Namespace) -> Source:
    half = options.half or options.weights == "half"
    claims = {key: claim for network in networks for key, (claim, _) in network.graph.claims.items()}
    n_parameters = sum(math.prod(claim.shape) for claim in claims.values())
    match(claims, checkpoint, what=what, half=half)
    print(f"import: {checkpoint.path} is {what}, {n_parameters:,} parameters", file=sys.stderr)
    return Source(checkpoint, claims)


def _autoencoder(
    path: Path, config: autoencoder.Config, options: argparse.Namespace
) -> tuple[dict[str, Network], Source]:
    checkpoint = open_checkpoint(path)
    keys = frozenset(checkpoint.tensors)
    networks = {
        "decoder.onnx": autoencoder.build_decoder(config, half=options.half, keys=keys),
        "encoder.onnx": autoencoder.build_encoder(config, half=options.half, keys=keys),
    }
    networks = _stored(networks, options)
    return networks, _source(list(networks.values()), checkpoint, "autoencoder-kl", options)


def _beside(denoiser: Denoiser, options: argparse.Namespace) -> tuple[tuple[dict[str, Network], Source], Any]:
    """The autoencoder of a latent model, in the same bundle. Its resolution follows from the latent's."""
    if options.autoencoder is None:
        raise usage(f"{options.architecture} makes latents", "give the checkpoint of its decoder by --autoencoder FILE")
    raw = read_json(options.autoencoder_config) if options.autoencoder_config else {}
    config = read_autoencoder(raw)
    factor = 2 ** (len(config.ch_mult) - 1)
    config = replace(config, resolution=denoiser.shape[1] * factor)
    if config.latent != denoiser.shape:
        raise bad_input(
            f"the decoder takes latents {list(config.latent)}, the network makes {list(denoiser.shape)}",
            "give the autoencoder that the network was trained with",
        )
    return _autoencoder(options.autoencoder, config, options), config


def _decoder_alone(name: str, options: argparse.Namespace, raw: Mapping[str, Any]) -> tuple[Bundle, list[object]]:
    config = read_autoencoder(raw)
    networks, source = _autoencoder(options.checkpoint, config, options)
    return Bundle(name, networks, [source], {}), [config]


def _provenance(options: argparse.Namespace, about: Architecture, sources: list[Source]) -> dict[str, Any]:
    own = options.config is not None
    return {
        "architecture": options.architecture,
        "network": about.reference,
        "training_data": "not known" if own else about.data,
        "licence": "not known" if own else about.licence,
        "recipe": "scripts/importer",
        "checkpoints": {source.checkpoint.path.name: source.checkpoint.sha256 for source in sources},
    }
