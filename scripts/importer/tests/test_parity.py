"""What comes out of the importer computes what the reference implementations compute.

Golden values: scripts/golden/import_networks.py, run with torch 2.15.0, guided-diffusion 22e0df8, U-ViT ce551708 and
diffusers 0.42.1 on random weights.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx

from .. import layers as nn
from ..graph import IR_VERSION, OPSET
from . import recipe, support

# Relative to the largest value. Measured: 2.0e-6 forward, 2.1e-6 under masks, 3.3e-6 for J^T v, 1.5e-6 autoencoder:
# float32 in another order of sums.
CLOSE = 1e-5
# A norm alone. Measured: 5.4e-7 and 7.9e-7; by one float32 sum the larger one is off by 1.1e-5.
NORM = 1e-6
# float16 keeps 11 bits. Measured: 1.2e-3.
HALF = 3e-3


class ParityTest(support.FolderTest):
    def bundle(self, case: str, *options: str):
        """Imports a case; its folder, golden values and inputs."""
        code, text = self.run_import(*support.write_case(case, self.folder), *options)
        self.assertEqual(code, 0, text)
        word, raw = recipe.CASES[case]
        golden = np.load(recipe.DATA / f"{case}.npz")
        if word == "autoencoder-kl":
            return self.folder / case, golden, {}
        denoiser = support.ARCHITECTURES[word].read(raw)
        rows = raw["num_classes"] if raw.get("class_cond") or word.startswith("uvit") and "num_classes" in raw else None
        rows = raw.get("num_class_embeds", rows)
        return self.folder / case, golden, recipe.inputs(case, denoiser.shape, rows)

    def test_forward_graphs_equal_the_references(self) -> None:
        for case in recipe.CASES:
            if case.startswith("kl-"):
                continue
            with self.subTest(case=case):
                folder, golden, feeds = self.bundle(case)
                found = support.run(folder / "denoiser.onnx", feeds, "eps")
                self.assertLess(support.error(found, golden["eps"]), CLOSE)

    def test_a_row_does_not_depend_on_the_batch(self) -> None:
        for case in ("adm-new", "uvit-latent", "unet2d-cifar"):
            with self.subTest(case=case):
                folder, golden, feeds = self.bundle(case)
                one = support.run(folder / "denoiser.onnx", {key: value[1:2] for key, value in feeds.items()}, "eps")
                self.assertLess(support.error(one, golden["eps"][1:2]), CLOSE)

    def test_train_graphs_under_given_masks_equal_the_references(self) -> None:
        n_trained = 0
        for case in recipe.CASES:
            folder, golden, feeds = self.bundle(case)
            has_train = (folder / "denoiser_train.onnx").exists()
            self.assertEqual(has_train, "eps_train" in golden, case)
            if not has_train:
                continue
            n_trained += 1
            with self.subTest(case=case):
                masked = self.folder / f"{case}-masked.onnx"
                support.dubench("graph", "dropout", folder / "denoiser_train.onnx", "-o", masked)
                feeds["masks"] = self.masks(case, masked)
                self.assertLess(support.error(support.run(masked, feeds, "eps"), golden["eps_train"]), CLOSE)
        self.assertEqual(n_trained, 3)

    def masks(self, case: str, graph: Path) -> np.ndarray:
        """The recipe's masks, flat, as the rewritten graph wants them."""
        model = onnx.load(str(graph), load_external_data=False)
        (layout,) = (json.loads(entry.value) for entry in model.metadata_props if entry.key == "dubench.masks")
        rows = [recipe.mask(case, site, tuple(entry["shape"])) for site, entry in enumerate(layout["sites"])]
        return np.concatenate([row.reshape(recipe.BATCH, -1) for row in rows], axis=1)

    def test_vector_jacobian_products_equal_autograd(self) -> None:
        for case in recipe.CASES:
            if case.startswith("kl-"):
                continue
            with self.subTest(case=case):
                folder, golden, feeds = self.bundle(case)
                vjp = self.folder / f"{case}-vjp.onnx"
                support.dubench("graph", "vjp", folder / "denoiser.onnx", "-o", vjp)
                feeds["cotangent"] = recipe.cotangent(case, golden["eps"].shape[1:])
                self.assertLess(support.error(support.run(vjp, feeds, "jtv"), golden["jtv"]), CLOSE)

    def test_autoencoders_equal_the_references_in_both_layouts(self) -> None:
        for case in ("kl-compvis", "kl-diffusers"):
            with self.subTest(case=case):
                folder, golden, _ = self.bundle(case)
                latent = recipe.inputs(case, (4, 8, 8), None)["sample"]
                image = recipe.cotangent(case, (3, 16, 16))
                decoded = support.run(folder / "decoder.onnx", {"latent": latent}, "image")
                self.assertLess(support.error(decoded, golden["image"]), CLOSE)
                moments = support.run(folder / "encoder.onnx", {"image": image}, "moments")
                self.assertLess(support.error(moments, golden["moments"]), CLOSE)

    def test_norms_of_large_groups_are_those_of_float64(self) -> None:
        """One group of 1,048,576 elements, as in a decoder of 512 pixels, and one of 131,072; mean and deviation are 1."""
        for side, n_channels, expected in ((512, 4, "ReduceMean"), (256, 2, "InstanceNormalization")):
            graph = nn.Graph()
            nn.group_norm(graph, nn.Value("x", (n_channels, side, side)), "norm", 1, 1e-6)
            self.assertIn(expected, [node.op_type for node in graph.nodes])
            ones = np.ones((n_channels, 1, 1), np.float32)
            views = {"norm.weight": ones, "norm.bias": 0 * ones}
            x = 1 + recipe.generator("norm", side).standard_normal((1, n_channels, side, side), dtype=np.float32)
            path = self.folder / f"norm-{side}.onnx"
            info = [onnx.helper.make_tensor_value_info(name, 1, x.shape) for name in ("x", "norm.shift")]
            tensors = [*graph.constants.values(), *(onnx.numpy_helper.from_array(v, k) for k, v in views.items())]
            body = onnx.helper.make_graph(graph.nodes, "norm", info[:1], info[1:], tensors)
            opset = onnx.helper.make_opsetid("", OPSET)
            onnx.save(onnx.helper.make_model(body, opset_imports=[opset], ir_version=IR_VERSION), str(path))
            wide = x.astype(np.float64)
            golden = (wide - wide.mean()) / np.sqrt(wide.var() + 1e-6)
            self.assertLess(support.error(support.run(path, {"x": x}, "norm.shift"), golden), NORM)

    def test_the_older_keys_of_attention_mean_the_same(self) -> None:
        older = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        feeds = recipe.inputs("unet2d-cifar", (3, 16, 16), None)
        latent = {"latent": recipe.inputs("kl-diffusers", (4, 8, 8), None)["sample"]}
        for case, graph, inputs, output in (
            ("unet2d-cifar", "denoiser.onnx", feeds, "eps"),
            ("kl-diffusers", "decoder.onnx", latent, "image"),
        ):
            arguments = support.write_case(case, self.folder)
            weights = support.checkpoint(case)
            for new, old in older.items():
                weights = {key.replace(f".{new}.", f".{old}."): value for key, value in weights.items()}
            self.assertNotEqual(set(weights), set(support.checkpoint(case)))
            Path(str(arguments[1])).write_bytes(recipe.safetensors(weights))
            code, text = self.run_import(*arguments)
            self.assertEqual(code, 0, text)
            found = support.run(self.folder / case / graph, inputs, output)
            self.assertLess(support.error(found, np.load(recipe.DATA / f"{case}.npz")[output]), CLOSE)

    def test_weights_stored_in_float16_are_those_of_a_rounded_checkpoint_bit_for_bit(self) -> None:
        for case, graph, output in (
            ("adm-new", "denoiser.onnx", "eps"),
            ("uvit-latent", "denoiser.onnx", "eps"),
            ("unet2d-cifar", "denoiser.onnx", "eps"),
            ("kl-diffusers", "decoder.onnx", "image"),
        ):
            with self.subTest(case=case):
                small, golden, feeds = self.bundle(case, "--weights", "half")
                small = small.rename(self.folder / f"{case}-small")
                arguments = support.write_case(case, self.folder)
                rounded = {
                    key: value.astype(np.float16).astype(np.float32) for key, value in support.checkpoint(case).items()
                }
                Path(str(arguments[1])).write_bytes(recipe.safetensors(rounded))
                code, text = self.run_import(*arguments)
                self.assertEqual(code, 0, text)
                feeds = feeds or {"latent": recipe.inputs(case, (4, 8, 8), None)["sample"]}
                found = support.run(small / graph, feeds, output)
                self.assertEqual(found.tobytes(), support.run(self.folder / case / graph, feeds, output).tobytes())
                self.assertLess(support.error(found, golden[output]), HALF)
                sizes = [(each / "weights.safetensors").stat().st_size for each in (small, self.folder / case)]
                self.assertLess(sizes[0], 0.6 * sizes[1])
                if output == "eps":
                    words = support.dubench("model", "inspect", small)
                    self.assertIn("float32, stored in float16", words)

    def test_float16_bundles_say_so(self) -> None:
        folder, _, _ = self.bundle("adm-new", "--half")
        self.assertIn("\n  weights     float16\n", support.dubench("model", "inspect", folder))

    def test_float16_gradients_are_near_autograd(self) -> None:
        for case in ("adm-new", "uvit-latent", "unet2d-cifar"):
            with self.subTest(case=case):
                folder, golden, feeds = self.bundle(case, "--half")
                vjp = self.folder / f"{case}-vjp.onnx"
                support.dubench("graph", "vjp", folder / "denoiser.onnx", "-o", vjp)
                feeds["cotangent"] = recipe.cotangent(case, golden["eps"].shape[1:])
                self.assertLess(support.error(support.run(vjp, feeds, "jtv"), golden["jtv"]), HALF)

    def test_float16_graphs_are_near_the_references(self) -> None:
        for case in ("adm-new", "adm-legacy", "uvit-latent", "uvit-mlp", "unet2d-cifar"):
            with self.subTest(case=case):
                full, golden, feeds = self.bundle(case)
                full.rename(full.with_name("full"))
                folder, _, _ = self.bundle(case, "--half")
                found = support.run(folder / "denoiser.onnx", feeds, "eps")
                self.assertEqual(found.dtype, np.float32)
                self.assertLess(support.error(found, golden["eps"]), HALF)
                sizes = [(each / "weights.safetensors").stat().st_size for each in (folder, full.with_name("full"))]
                self.assertLess(sizes[0], 0.75 * sizes[1])
                full.with_name("full").rename(full.with_name(f"full-{case}"))
