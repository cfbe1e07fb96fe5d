"""Every ImageNet row of the paper's tables, from its own file: small networks of random weights stand in for the checkpoints.

The numbers mean nothing, and the tables say so: the networks are called "random weights". What is left out is what does not
ship (feature network, ImageNet) and the size; arms, samplers, estimators, rules and published numbers are those of the row.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from . import support

NAME = "random weights"
# Model, the small network in its place, and the row of labels that stands for no class.
MODELS = {
    "imagenet64": ("adm64", "adm-new", None),
    "imagenet128": ("adm128", "adm-legacy", None),
    "imagenet128-dpm": ("adm128", "adm-legacy", None),
    "imagenet256": ("uvit256", "uvit-latent", 10),
    "imagenet512": ("uvit512", "uvit-no-skip", 4),
}
# What the paper prints in a row, where ours stands beside it.
PAPER = {
    "table1-imagenet64": ("3.289", "3.254", "3.268"),
    "table1-imagenet128": ("8.21", "7.88"),
    "table1-imagenet128-dpm": ("8.5", "8.48"),
    "table1-imagenet256": ("7.88", "7.8"),
    "table1-imagenet512": ("16.47", "16.37"),
    "table1-imagenet256-cfg": ("2.29",),
    "table1-imagenet512-cfg": ("4.05",),
    "table2-imagenet64": ("74.48", "5.05", "84.94", "4.85"),
    "table3-imagenet64": ("24.16", "23.21"),
    "table3-imagenet128": ("45.1", "44.02"),
    "table3-imagenet256": ("51.45", "50.34"),
    "table3-imagenet512": ("60.72", "59.81"),
    "table4-imagenet64": ("0.999", "0.004", "0.005"),
    "table4-imagenet128": ("0.951", "0.371", "0.38"),
    "table4-imagenet128-dpm": ("0.874", "0.872", "0.524", "0.54"),
    "table4-imagenet256": ("0.325", "0.339", "0.762", "0.856"),
    "table4-imagenet512": ("0.791", "0.793", "0.431", "0.451"),
    "table5-imagenet64": ("40.753", "52.387"),
    "table5-imagenet128": ("86.805", "112.777"),
    "table5-imagenet128-dpm": ("86.712", "112.765"),
    "table5-imagenet256": ("26.272", "37.058"),
    "table5-imagenet512": ("32.859", "47.531"),
    "table6-imagenet64": ("41.013", "89.316"),
    "table6-imagenet128": ("86.768", "190.939"),
    "table6-imagenet128-dpm": ("86.75", "190.871"),
    "table6-imagenet256": ("43.987", "60.55"),
    "table6-imagenet512": ("53.189", "74.42"),
}
FEATURES = "features: {kind: pixels, grid: 2}\n"
SIZES = {
    "table1": "n_pool: 24, n_keep: 20, block_size: 8, batch_size: 8",
    "table2": "n_pool: 2, n_subset: 2, block_size: 2, batch_size: 2",
    # All fifty steps: the paper's number stands beside no other.
    "table3": "n_pool: 8, n_subset: 8, block_size: 8, batch_size: 8, n_steps: null, n_draws: 2",
    "table4": "n_pool: 24, n_keep: 20, block_size: 8, batch_size: 8, n_real: 16",
    "table5": "n_pool: 4, block_size: 2, batch_size: 2",
    "table6": "n_pool: 4, block_size: 2, batch_size: 2",
}


class RowsTest(support.FolderTest):
    def setUp(self) -> None:
        """A copy of the experiments, with small networks and images where the row looks for the real ones."""
        super().setUp()
        self.experiments = self.folder / "experiments"
        ignore = shutil.ignore_patterns("models")
        shutil.copytree(support.ROOT / "experiments", self.experiments, ignore=ignore)
        for model, case, _ in set(MODELS.values()):
            arguments = support.write_case(case, self.folder)
            arguments[5] = self.experiments / "models" / model
            self.assertEqual(self.run_import(*arguments)[0], 0)
            self.called(self.experiments / "models" / model / "model.yaml", model)
        pixels = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), np.uint8)
        np.savez(self.experiments / "images.npz", arr_0=pixels, labels=np.arange(24) % 10)
        np.savez(self.experiments / "moments.npz", mu=np.full(12, 0.5), sigma=np.eye(12) / 12, n=np.array(24))

    def called(self, description: Path, model: str) -> None:
        """Writes into the description that the weights are random."""
        text = description.read_text(encoding="utf-8")
        self.assertIn(f'name: "{model}"', text)
        changed = text.replace(f'name: "{model}"', f'name: "{model}, {NAME}"')
        description.write_text(changed, encoding="utf-8")

    def small(self, row: str) -> Path:
        """An experiment that extends the row: nothing but sizes, features and images are its own."""
        table, setting = row.split("-", 1)
        _, _, null = MODELS[setting.removesuffix("-cfg")]
        text = f"extends: {row}.yaml\nscales: {{smoke: {{{SIZES[table]}}}}}\n"
        if table in ("table1", "table3", "table4"):
            images = ", images: images.npz" if table == "table4" else ""
            text += FEATURES + f"reference: {{path: moments.npz{images}}}\n"
        if table == "table2":
            text += "protocol: {images: images.npz}\n"
        if row.endswith("-cfg"):
            text += f"model: {{cfg: {{null: {{label: {null}}}}}}}\n"
        path = self.experiments / f"small-{row}.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def test_every_row_ends_in_a_table_with_the_number_of_the_paper_beside_ours(self) -> None:
        shipped = {p.stem for p in self.experiments.glob("table*-imagenet*.yaml")}
        self.assertEqual(shipped, set(PAPER))
        work, results = self.folder / "work", self.folder / "results"
        for row, numbers in PAPER.items():
            with self.subTest(row=row):
                arguments = ["run", self.small(row), "--scale", "smoke", "--work-dir", work, "--results-dir", results]
                arguments += ["--beside-others"] if row.startswith(("table5", "table6")) else []
                support.dubench(*arguments)
                table = (results / row / "smoke" / "table.md").read_text(encoding="utf-8")
                self.assertIn(NAME, table)
                measured, _, published = table.partition("## Published:")
                self.assertTrue(published)
                for number in numbers:
                    self.assertIn(number, measured, f"{number} is not beside ours in\n{measured}")

    def test_every_row_says_what_it_costs_at_paper_scale(self) -> None:
        costs = {}
        for row in ("table1-imagenet64", "table1-imagenet256", "table1-imagenet256-cfg", "table3-imagenet64"):
            path = self.small(row)
            costs[row] = support.dubench("plan", path, "--scale", "paper", "--cost", "--flops-per-second", "1e12")
        # 50 steps, 20 for both variances, 50 under dropout; a network without dropout has none of these.
        self.assertRegex(costs["table1-imagenet64"], r"pool +60,000 +120 +0 +7,200,000 +0 ")
        self.assertRegex(costs["table1-imagenet256"], r"pool +60,000 +70 +0 +4,200,000 +0 ")
        # Guidance asks twice.
        self.assertRegex(costs["table1-imagenet256-cfg"], r"pool +50,000 +140 +0 +7,000,000 +0 ")
        # Five steps of the fused graph: five draws, there and back, beside the walk.
        self.assertRegex(costs["table3-imagenet64"], r"gradient +10,240 +30 +25 +307,200 +256,000 ")
        for cost in costs.values():
            self.assertRegex(cost, r"time +[\d.]+ (s|minutes|hours) at 1e12 operations a second")
