"""Checkpoints that do not fit: a named error, a documented exit code, and no file where there was none."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
from setup.errors import INPUT, INTEGRITY, USAGE

from ..checkpoint import Checkpoint, Tensor
from ..graph import Claim
from ..weights import Plan, Source, write
from . import recipe, support
from .test_checkpoint import Calls, zipped


class BadInputTest(support.FolderTest):
    def setUp(self) -> None:
        super().setUp()
        self.arguments = support.write_case("adm-plain", self.folder)
        self.file = Path(str(self.arguments[1]))
        self.weights = support.checkpoint("adm-plain")

    def refused(
        self, code: int, *words: str, arguments: list[object] | None = None, options: tuple[object, ...] = ()
    ) -> str:
        """The text of a refusal with this exit code, that leaves the folder as it was."""
        before = sorted(path.name for path in self.folder.iterdir())
        found, text = self.run_import(*(arguments or self.arguments), *options)
        self.assertEqual(found, code, text)
        for word in words:
            self.assertIn(word, text)
        self.assertEqual(text.count("\n"), 1 + text.count("parameters\n"), text)
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), before)
        return text

    def save(self, weights: dict[str, np.ndarray]) -> None:
        self.file.write_bytes(recipe.safetensors(weights))

    def test_a_checkpoint_of_another_architecture_is_named(self) -> None:
        self.file.write_bytes(recipe.safetensors(support.checkpoint("uvit-latent")))
        self.refused(INPUT, "lacks", "has", "it has in_blocks and pos_embed: U-ViT")
        arguments = support.write_case("uvit-latent", self.folder)
        Path(str(arguments[1])).write_bytes(recipe.safetensors(self.weights))
        self.refused(INPUT, "ADM (guided-diffusion)", arguments=arguments)

    def test_half_the_keys_are_named(self) -> None:
        kept = dict(list(self.weights.items())[::2])
        self.save(kept)
        text = self.refused(INPUT, f"lacks {len(self.weights) - len(kept)} of the keys", ", and ")
        self.assertIn(next(key for key in self.weights if key not in kept and key.startswith("time_embed")), text)

    def test_one_surplus_key_is_named(self) -> None:
        self.save({**self.weights, "head.weight": np.zeros(3, np.float32)})
        self.refused(INPUT, "has 1 keys that the network does not know: head.weight")

    def test_a_wrong_shape_is_named_with_both(self) -> None:
        self.save({**self.weights, "time_embed.2.bias": np.zeros(3, np.float32)})
        self.refused(INPUT, "time_embed.2.bias is [3], expected [128]")

    def test_float16_where_float32_is_meant_is_refused_and_half_takes_it(self) -> None:
        self.save({key: value.astype(np.float16) for key, value in self.weights.items()})
        self.refused(INPUT, "is float16", "--half")
        code, text = self.run_import(*self.arguments, "--half")
        self.assertEqual(code, 0, text)

    def test_float64_is_refused(self) -> None:
        self.save({**self.weights, "out.2.bias": self.weights["out.2.bias"].astype(np.float64)})
        self.refused(INPUT, "1 of", "out.2.bias is float64")

    def test_values_that_are_not_finite_stop_the_writing(self) -> None:
        bias = self.weights["out.2.bias"].copy()
        bias[1] = np.nan
        self.save({**self.weights, "out.2.bias": bias})
        self.refused(INPUT, "out.2.bias holds values that are not finite")

    def test_values_beyond_float16_are_refused_by_half_alone(self) -> None:
        weight = self.weights["input_blocks.0.0.weight"].copy()
        weight[0, 0, 0, 0] = 1e5
        self.save({**self.weights, "input_blocks.0.0.weight": weight})
        self.refused(INPUT, "input_blocks.0.0.weight holds 1e+05", options=("--half",))
        self.assertEqual(self.run_import(*self.arguments)[0], 0)

    def test_a_truncated_file_is_damage(self) -> None:
        content = self.file.read_bytes()
        self.file.write_bytes(content[: len(content) // 2])
        self.refused(INTEGRITY, "cut off or damaged")

    def test_damage_found_half_way_leaves_nothing(self) -> None:
        content = bytearray((recipe.DATA / "state-zip.pt").read_bytes())
        content[content.index(np.float32(0.25).tobytes())] ^= 1
        self.file.write_bytes(bytes(content))
        checkpoint = support.cli.open_checkpoint(self.file)
        claims = {key: Claim(key, tensor.shape) for key, tensor in checkpoint.tensors.items()}
        target = self.folder / "bundle"
        with self.assertRaises(Exception) as caught, support.cli.appearing(target) as folder:
            sources = [Source(checkpoint, claims)]
            write(folder / "weights.safetensors", Plan.of(sources, {}), sources)
        self.assertEqual(getattr(caught.exception, "exit_code", None), INTEGRITY)
        self.assertEqual([path.name for path in self.folder.iterdir() if "bundle" in path.name], [])

    def test_a_malicious_file_runs_nothing(self) -> None:
        witness = self.folder / "touched"
        self.file.write_bytes(zipped(pickle.dumps({"weight": Calls(witness)}, 2)))
        self.refused(INPUT, "system", "nothing was run")
        self.assertFalse(witness.exists())

    def test_a_folder_that_holds_something_is_left_alone(self) -> None:
        target = self.folder / "adm-plain"
        target.mkdir()
        (target / "mine.txt").write_text("mine")
        self.refused(USAGE, "is there already")
        self.assertEqual([path.name for path in target.iterdir()], ["mine.txt"])

    def test_options_that_do_not_fit_are_refused(self) -> None:
        self.refused(USAGE, "takes no --autoencoder", options=("--autoencoder", self.file))
        self.refused(USAGE, "say by -o", arguments=self.arguments[:4])
        latent = support.write_case("uvit-latent", self.folder)
        self.refused(USAGE, "by --autoencoder FILE", arguments=latent[:6])
        Path(str(latent[3])).write_text("{")
        self.refused(USAGE, "is no JSON", arguments=latent)

    def test_a_decoder_of_other_latents_is_refused(self) -> None:
        latent = support.write_case("uvit-latent", self.folder)
        config = Path(str(latent[-1]))
        config.write_text(json.dumps({**json.loads(config.read_text()), "embed_dim": 8}))
        self.refused(INPUT, "takes latents [8, 8, 8], the network makes [4, 8, 8]", arguments=latent)

    def test_weights_are_written_one_at_a_time(self) -> None:
        n_tensors, n_values = 16, 1 << 18
        tensor = Tensor("float32", (n_values,), lambda: np.ones(n_values, np.float32))
        checkpoint = Checkpoint(self.file, {f"t{index}": tensor for index in range(n_tensors)})
        sources = [Source(checkpoint, {key: Claim(key, (n_values,)) for key in checkpoint.tensors})]
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        write(self.folder / "weights.safetensors", Plan.of(sources, {}), sources)
        _, peak = tracemalloc.get_traced_memory()
        self.assertLess(peak, 4 * 4 * n_values)
        self.assertGreater((self.folder / "weights.safetensors").stat().st_size, n_tensors * 4 * n_values)
