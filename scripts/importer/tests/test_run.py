"""From checkpoint to table: small imported networks go through `dubench run`, pixel and latent, with classes."""

from __future__ import annotations

import json
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
        work, results = self.folder / "work", self.folder / "results"
        support.dubench(
            "run", experiment, "--scale", "smoke", "--work-dir", work, "--results-dir", results, cwd=self.folder
        )
        (table,) = results.rglob("table.md")
        return table.read_text(encoding="utf-8")

    def test_a_pixel_network_with_classes_and_dropout_gives_a_table(self) -> None:
        table = self.table("adm-new", "ddim", DROPOUT)
        for row in ("Full pool", "Random subsets", "Score variance", "MC-Dropout", "Total variation"):
            self.assertRegex(table, rf"\n\| {row} \|.*\| \d+\.\d+ ± \d")

    def test_a_latent_network_gives_a_table(self) -> None:
        table = self.table("uvit-latent", "dpm_solver_pp_2m")
        self.assertRegex(table, r"\n\| Score variance \|.*\| \d+\.\d+ ± \d.*\| 10 \+ 6 \|")

    def test_inspect_says_what_the_bundle_is(self) -> None:
        self.assertEqual(self.run_import(*support.write_case("uvit-latent", self.folder))[0], 0)
        summary = json.loads(support.dubench("--format", "json", "model", "inspect", self.folder / "uvit-latent"))
        self.assertEqual(summary["shape"], [4, 8, 8])
        self.assertEqual((summary["n_classes"], summary["timestep_offset"], summary["clip_x0"]), (10, 1, False))
        files = {path.name for path in Path(self.folder / "uvit-latent").iterdir()}
        self.assertEqual(files - set(summary["files"]), {"MODEL_CARD.md"})
        self.assertEqual(summary["name"], "uvit-latent")
