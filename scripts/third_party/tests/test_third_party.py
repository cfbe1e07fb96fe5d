"""Graphs of third-party networks against the networks themselves, run outside the project on the same weights."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

import numpy as np
from setup.errors import SetupError

from .. import bundles, correlations, galaxy
from . import recipe

_GOLDEN = Path(__file__).parent / "data" / "galaxy.npz"


class FolderTest(unittest.TestCase):
    def setUp(self) -> None:
        """An empty folder."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def leaves(self, content: bytes) -> Path:
        """A file of leaves."""
        path = self.folder / "leaves.eqx"
        path.write_bytes(content)
        return path


class GalaxyTest(FolderTest):
    def test_scores_are_those_of_the_package_on_the_same_weights(self) -> None:
        from onnxruntime import InferenceSession

        golden = np.load(_GOLDEN)
        model = galaxy.score(self.leaves(recipe.leaves()), recipe.SIDE)
        session = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        states, times = recipe.inputs()
        found = session.run(None, {"sample": states, "time": times})[0]
        # Measured: 2.1e-7 on these weights, 3.8e-7 on the published ones.
        self.assertLess(np.abs(found - golden["random"]).max() / np.abs(golden["random"]).max(), 2e-6)
        self.assertGreater(np.abs(golden["random"] - golden["published"]).max(), 0.1)

    def test_a_display_has_black_at_zero_and_white_at_its_end(self) -> None:
        from onnxruntime import InferenceSession

        session = InferenceSession(galaxy.display(4).SerializeToString(), providers=["CPUExecutionProvider"])
        state = np.linspace(-1, 2 * galaxy.WHITE, 16, dtype=np.float32).reshape(1, 1, 4, 4)
        image = session.run(None, {"state": state})[0]
        expected = np.clip(state / galaxy.WHITE * 2 - 1, -1, 1)
        np.testing.assert_allclose(image, np.repeat(expected, 3, axis=1), atol=1e-6)

    def test_leaves_that_do_not_fit_are_refused_by_name(self) -> None:
        good = recipe.leaves()
        for content, words in (
            (good[:-40], "cannot be read|ends before"),
            (good[: len(good) // 2], "cannot be read"),
            (recipe.leaves(side=36), "block.0.patches.0.weight is float32"),
            (good + good[-136:], "arrays too many"),
            (b"\x80\x04 a pickle", "array 0 cannot be read"),
            (b"", "ends before conv_in.weight"),
        ):
            with self.assertRaisesRegex(SetupError, words):
                galaxy.score(self.leaves(content), recipe.SIDE)


class BundleTest(FolderTest):
    def test_a_bundle_appears_whole_and_replaces_the_one_before(self) -> None:
        network, source = bundles.NETWORKS[0], self.leaves(recipe.leaves())
        for _ in range(2):
            bundles.write(network, source, self.folder / "galaxies")
        names = sorted(path.name for path in (self.folder / "galaxies").iterdir())
        self.assertEqual(names, ["display.onnx", "model.yaml", "score.onnx"])
        with self.assertRaises(SetupError):
            bundles.write(network, self.leaves(b""), self.folder / "galaxies")
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["galaxies", "leaves.eqx"])


class CorrelationTest(unittest.TestCase):
    def test_rho_is_that_of_the_formula_without_ties_and_shares_ranks_with_them(self) -> None:
        one, other = np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 1, 4, 3, 5])
        # 1 - 6 sum d^2 / (n (n^2 - 1)), d^2 = 1 + 1 + 1 + 1 + 0.
        rho, low, high = correlations.spearman(one, other)
        self.assertAlmostEqual(rho, 1 - 6 * 4 / (5 * 24))
        self.assertTrue(low < rho < high)
        np.testing.assert_allclose(correlations.ranks(np.array([3.0, 1, 3, 2])), [3.5, 1, 3.5, 2])

    def test_total_variation_of_a_ramp_is_its_slope(self) -> None:
        ramp = np.broadcast_to(np.arange(5.0) * 0.5, (2, 1, 4, 5))
        np.testing.assert_allclose(correlations.total_variation(ramp), [0.5, 0.5])


if __name__ == "__main__":
    unittest.main()
