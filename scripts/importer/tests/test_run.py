"""From checkpoint to table: small imported networks go through `dubench run`, pixel and latent, with classes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from . import support

# Random weights: the numbers mean nothing, the chain does.
EXPERIMENT = """\
name: {name}
question: Does an imported network go from checkpoint to table?
artefact: none
model: {{kind: bundle, path: {bundle}}}
sampler: {{kind: {sampler}, n_steps: 10}}
seed: 3
estimators:
  - {{kind: sample_var, n_draws: 3, window: {{start: 8, len: 2}}}}
{dropout}controls:
  - {{kind: total_variation}}
features: {{kind: pixels, grid: 2}}
reference: {{dataset: toy, path: reference.npz}}
protocol: {{kind: filtering, n_random: 20}}
scales:
  smoke: {{n_pool: 24, n_keep: 20, block_size: 8, batch_size: 8}}
"""
RECONSTRUCTION = """\
name: rebuilt
question: Is an image rebuilt by an imported latent network with classes?
artefact: none
model: {kind: bundle, path: uvit-latent}
sampler: {kind: dpm_solver_pp_2m, n_steps: 4}
seed: 3
estimators:
  - {kind: sample_var, n_draws: 2}
protocol: {kind: reconstruction, images: images.npz, arms: [{name: corrected}]}
scales:
  smoke: {n_pool: 4, block_size: 4, batch_size: 4}
"""
DROPOUT = "  - {kind: mc_dropout, p: 0.5, n_draws: 3, window: {start: 8, len: 2}}\n"


class RunTest(support.FolderTest):
    def table(self, case: str, sampler: str, dropout: str = "") -> str:
        """Imports the case, runs the experiment, returns its table."""
        code, text = self.run_import(*support.write_case(case, self.folder))
        self.assertEqual(code, 0, text)
        np.savez(self.folder / "reference.npz", mu=np.full(12, 0.5), sigma=np.eye(12) / 12, n=np.array(1000))
        experiment = self.folder / f"{case}.yaml"
        text = EXPERIMENT.format(name=case, bundle=case, sampler=sampler, dropout=dropout)
        experiment.write_text(text, encoding="utf-8")
        work, results = self.folder / "work", self.folder / f"{case}-results"
        support.dubench(
            "run", experiment, "--scale", "smoke", "--work-dir", work, "--results-dir", results, cwd=self.folder
        )
        (table,) = results.rglob("table.md")
        return table.read_text(encoding="utf-8")

    def test_pixel_networks_with_dropout_give_a_table(self) -> None:
        for case in ("adm-new", "unet2d-cifar"):
            table = self.table(case, "ddim", DROPOUT)
            for row in ("Full pool", "Random subsets", "Score variance", "MC-Dropout", "Total variation"):
                self.assertRegex(table, rf"\n\| {row} \|.*\| \d+\.\d+ ± \d")

    def test_a_latent_network_gives_a_table(self) -> None:
        table = self.table("uvit-latent", "dpm_solver_pp_2m")
        self.assertRegex(table, r"\n\| Score variance \|.*\| \d+\.\d+ ± \d.*\| 10 \+ 6 \|")

    def test_images_are_rebuilt_through_the_encoder_under_their_classes(self) -> None:
        code, text = self.run_import(*support.write_case("uvit-latent", self.folder))
        self.assertEqual(code, 0, text)
        images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
        np.savez(self.folder / "images.npz", arr_0=images, labels=np.array([9, 0, 3, 3]))
        experiment = self.folder / "rebuilt.yaml"
        experiment.write_text(RECONSTRUCTION, encoding="utf-8")
        results = self.folder / "rebuilt-results"
        support.dubench(
            "run", experiment, "--scale", "smoke", "--work-dir", self.folder / "work", "--results-dir", results
        )
        (table,) = results.rglob("table.md")
        text = table.read_text(encoding="utf-8")
        self.assertIn("latents of 4 channels, 8 by 8", text)
        self.assertRegex(text, r"\n\| Score variance \| as is \| \d+\.\d+ ± \d")

    def test_every_imagenet_row_of_table_1_resolves_at_paper_scale(self) -> None:
        shutil.copytree(
            support.ROOT / "experiments", self.folder / "experiments", ignore=shutil.ignore_patterns("models")
        )
        for case, word in (
            ("adm-new", "adm64"),
            ("adm-legacy", "adm128"),
            ("uvit-latent", "uvit256"),
            ("uvit-no-skip", "uvit512"),
        ):
            arguments = support.write_case(case, self.folder)
            arguments[5] = self.folder / "experiments" / "models" / word
            self.assertEqual(self.run_import(*arguments)[0], 0)
        reference = self.folder / "experiments" / "reference"
        samplers = {"imagenet64": "ddim", "imagenet128": "ddim", "imagenet128-dpm": "dpm_solver_pp_2m"}
        samplers |= {"imagenet256": "dpm_solver_pp_2m", "imagenet512": "dpm_solver_pp_2m"}
        for row, sampler in samplers.items():
            shutil.copy(reference / "cifar10-train.npz", reference / f"{row.removesuffix('-dpm')}.npz")
            with self.subTest(row=row):
                experiment = self.folder / "experiments" / f"table1-{row}.yaml"
                text = support.dubench("plan", experiment, "--scale", "paper", "--print")
                values = dict(line.split(None, 1) for line in text.splitlines() if len(line.split(None, 1)) == 2)
                self.assertEqual(values["protocol.n_keep"], "50000")
                self.assertEqual(values["work.arms[0].sampler.n_steps"], "50")
                self.assertEqual(values["work.arms[0].sampler.kind"], sampler)
                self.assertEqual(values["work.reference.dataset"], row.removesuffix("-dpm"))

    def test_inspect_says_what_the_bundle_is(self) -> None:
        self.assertEqual(self.run_import(*support.write_case("uvit-latent", self.folder))[0], 0)
        summary = json.loads(support.dubench("--format", "json", "model", "inspect", self.folder / "uvit-latent"))
        self.assertEqual(summary["shape"], [4, 8, 8])
        self.assertEqual((summary["n_classes"], summary["clip_x0"]), (10, False))
        self.assertEqual(summary["time"], {"kind": "train_step", "offset": 1.0, "scale": 1.0})
        files = {path.name for path in Path(self.folder / "uvit-latent").iterdir()}
        self.assertEqual(files - set(summary["files"]), {"MODEL_CARD.md"})
        self.assertEqual(summary["name"], "uvit-latent")
