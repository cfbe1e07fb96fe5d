"""Scores of the network class of galaxygrad 0.2.1 itself, on seeded random weights and, where given, on published ones.

Needs jax, equinox and einops, and `models_eqx.py` of the unpacked package:
    python scripts/golden/galaxy.py PACKAGE/galaxygrad scripts/third_party/tests/data/galaxy.npz
Values of the committed file: jax 0.10.2, equinox 0.13.8, float32 on a processor.
"""

from __future__ import annotations

import importlib.util
import io
import sys
from pathlib import Path

import equinox as eqx
import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from third_party.tests import recipe


def network(package: Path, leaves: io.BytesIO | Path, side: int) -> object:
    """The package's network with these leaves."""
    spec = importlib.util.spec_from_file_location("models_eqx", package / "models_eqx.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    empty = module.ScoreNet((1, side, side), 4, 64, 512, 512, 4, 10.0, key=jax.random.PRNGKey(0))
    return eqx.tree_deserialise_leaves(leaves, empty)


def scores(model: object, states: np.ndarray, times: np.ndarray) -> np.ndarray:
    """One image at a time, as the package is called."""
    return np.stack([np.asarray(model(state, t)) for state, t in zip(states, times, strict=True)])


def main() -> None:
    """Writes the golden file."""
    package, target = Path(sys.argv[1]), Path(sys.argv[2])
    states, times = recipe.inputs()
    random = network(package, io.BytesIO(recipe.leaves()), recipe.SIDE)
    published = network(package, package / "eqx_hsc_ScoreNet32.eqx", 32)
    tool = f"galaxygrad 0.2.1 by jax {jax.__version__}, equinox {eqx.__version__}"
    np.savez(target, random=scores(random, states, times), published=scores(published, states, times), tool=tool)


if __name__ == "__main__":
    main()
