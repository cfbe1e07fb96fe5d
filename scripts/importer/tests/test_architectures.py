"""Sizes: the published parameter counts, and configurations that cannot be."""

from __future__ import annotations

import math
import unittest

from setup.errors import USAGE, SetupError

from .. import autoencoder
from ..architectures import ARCHITECTURES, read_autoencoder

# Counted in the published networks (U-ViT's paper says 501 M, ADM's 296 M and 422 M).
PARAMETERS = {
    "adm64": 295_904_454,
    "adm128": 421_529_606,
    "uvit256": 500_832_016,
    "uvit512": 500_942_656,
    "ddpm-cifar10-32": 35_746_307,
}


def n_parameters(*networks) -> int:
    """Values in all claimed tensors."""
    return sum(math.prod(claim.shape) for network in networks for claim, _ in network.graph.claims.values())


class ArchitectureTest(unittest.TestCase):
    def test_published_networks_have_their_number_of_parameters(self) -> None:
        for word, expected in PARAMETERS.items():
            denoiser = ARCHITECTURES[word].read(ARCHITECTURES[word].raw)
            self.assertEqual(n_parameters(denoiser.build(denoiser.config)), expected, word)

    def test_the_autoencoder_has_its_number_of_parameters(self) -> None:
        config = read_autoencoder({})
        self.assertEqual(n_parameters(autoencoder.build_decoder(config)), 49_490_179 + 20)
        self.assertEqual(n_parameters(autoencoder.build_encoder(config)), 34_163_592 + 72)

    def test_half_the_train_graph_and_the_other_layout_claim_the_same(self) -> None:
        for word in PARAMETERS:
            denoiser = ARCHITECTURES[word].read(ARCHITECTURES[word].raw)
            graphs = [denoiser.build(denoiser.config, **kind) for kind in ({}, {"train": True}, {"half": True})]
            keys = [{key: claim.shape for key, (claim, _) in each.graph.claims.items()} for each in graphs]
            self.assertEqual(keys[0], keys[1])
            self.assertEqual(keys[0], keys[2])
        denoiser = ARCHITECTURES["ddpm-cifar10-32"].read(ARCHITECTURES["ddpm-cifar10-32"].raw)
        old = denoiser.build(denoiser.config, keys=frozenset(["mid_block.attentions.0.query.weight"]))
        self.assertEqual(n_parameters(old), PARAMETERS["ddpm-cifar10-32"])
        self.assertIn("up_blocks.2.attentions.1.proj_attn.bias", old.graph.claims)

    def test_dropout_stands_where_the_paper_counts_it(self) -> None:
        expected = {"adm64": 36, "adm128": 0, "uvit256": 0, "uvit512": 0, "ddpm-cifar10-32": 22 + 6}
        for word, n_sites in expected.items():
            denoiser = ARCHITECTURES[word].read(ARCHITECTURES[word].raw)
            self.assertEqual(denoiser.build(denoiser.config, train=True).graph.n_dropouts, n_sites, word)
            self.assertEqual(denoiser.build(denoiser.config).graph.n_dropouts, 0, word)

    def test_bundles_say_how_the_networks_were_trained(self) -> None:
        read = {word: ARCHITECTURES[word].read(ARCHITECTURES[word].raw) for word in PARAMETERS}
        kinds = {word: (each.schedule["kind"], each.offset, each.classes, each.latent) for word, each in read.items()}
        self.assertEqual(
            kinds,
            {
                "adm64": ("cosine", 0, 1000, False),
                "adm128": ("linear", 0, 1000, False),
                "uvit256": ("scaled_linear", 1, 1000, True),
                "uvit512": ("scaled_linear", 1, 1000, True),
                "ddpm-cifar10-32": ("linear", 0, None, False),
            },
        )

    def test_the_flags_of_the_reference_code_are_read_as_its_command_line_writes_them(self) -> None:
        flags = {
            "attention_resolutions": "32,16,8", "class_cond": "True", "diffusion_steps": 1000, "dropout": 0.1,
            "image_size": 64, "learn_sigma": "True", "noise_schedule": "cosine", "num_channels": 192,
            "num_head_channels": 64, "num_res_blocks": 3, "resblock_updown": "True", "use_new_attention_order": "True",
            "use_fp16": "True", "use_scale_shift_norm": "True",
        }  # fmt: skip
        named = ARCHITECTURES["adm64"].read(ARCHITECTURES["adm64"].raw)
        self.assertEqual(ARCHITECTURES["adm128"].read(flags), named)

    def test_the_published_config_json_of_ddpm_is_read(self) -> None:
        published = {
            "_class_name": "UNet2DModel",
            "_diffusers_version": "0.0.4",
            "act_fn": "silu",
            "attention_head_dim": None,
            "block_out_channels": [128, 256, 256, 256],
            "center_input_sample": False,
            "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
            "downsample_padding": 0,
            "flip_sin_to_cos": False,
            "freq_shift": 1,
            "in_channels": 3,
            "layers_per_block": 2,
            "mid_block_scale_factor": 1,
            "norm_eps": 1e-06,
            "norm_num_groups": 32,
            "out_channels": 3,
            "sample_size": 32,
            "time_embedding_type": "positional",
            "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
        }
        read = ARCHITECTURES["ddpm-cifar10-32"].read
        named = read(ARCHITECTURES["ddpm-cifar10-32"].raw)
        self.assertEqual(read({**published, "dropout": 0.1, "attention_dropout": 0.1}), named)
        self.assertEqual(read(published).build(read(published).config, train=True).graph.n_dropouts, 0)

    def test_configurations_that_cannot_be_are_refused_by_key(self) -> None:
        for word, change, key in (
            ("adm64", {"num_chanels": 3}, "num_chanels is no known key"),
            ("adm64", {"num_channels": 40}, "num_channels gives"),
            ("adm64", {"num_channels": "many"}, "num_channels is 'many'"),
            ("adm64", {"image_size": 30, "channel_mult": "1,2,3,4"}, "image_size gives"),
            ("adm64", {"dropout": 1.0}, "dropout is 1.0"),
            ("adm64", {"rescale_timesteps": True}, "rescale_timesteps is True"),
            ("adm64", {"num_head_channels": 7}, "num_head_channels gives"),
            ("adm64", {"channel_mult": []}, "channel_mult is []"),
            ("adm64", {"noise_schedule": "sqrt"}, "noise_schedule is 'sqrt'"),
            ("adm64", {"classes": 1001}, "classes is 1001"),
            ("uvit256", {"patch_size": 5}, "patch_size gives"),
            ("uvit256", {"num_heads": 0}, "num_heads is 0"),
            ("uvit256", {"schedule": {"kind": "sqrt"}}, "schedule is"),
            (
                "ddpm-cifar10-32",
                {"down_block_types": ["SkipDownBlock2D"] * 4},
                "down_block_types names SkipDownBlock2D",
            ),
            ("ddpm-cifar10-32", {"act_fn": "relu"}, "act_fn is 'relu'"),
            ("ddpm-cifar10-32", {"in_channels": 1}, "in_channels is 1"),
            ("ddpm-cifar10-32", {"block_out_channels": [128]}, "block_out_channels is not as long"),
        ):
            with self.subTest(word=word, change=change), self.assertRaises(SetupError) as caught:
                ARCHITECTURES[word].read({**ARCHITECTURES[word].raw, **change})
            self.assertEqual(caught.exception.exit_code, USAGE)
            self.assertIn(key, caught.exception.message)
