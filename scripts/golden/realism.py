"""Golden values of realism and rarity, from two public implementations that are no packages.

Clone them beside the project at the commits below, then run from the root of the repository, in an environment with NumPy
and torch (their imports of torchvision, tqdm, PIL and sklearn are not used and are stubbed):

    git clone https://github.com/youngjung/improved-precision-and-recall-metric-pytorch realism-clone
    git clone https://github.com/hichoe95/Rarity-Score rarity-clone
    python scripts/golden/realism.py realism-clone rarity-clone/src metrics/tests/data/realism.json

Realism there has no pruning: it is handed the real spheres that are left after it.
"""

import importlib.util
import json
import sys
import types
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import torch

SEED = 20261128
K = 3
COMMITS = {
    "youngjung/improved-precision-and-recall-metric-pytorch": "5ad4629b07f3f3a51184c39d3dbe9085a60e264c",
    "hichoe95/Rarity-Score": "ec2ebd84619f4485ceecf2f02bfac071270c55bf",
}
UNUSED = ["torchvision", "torchvision.models", "torchvision.transforms", "torchvision.datasets", "torchvision.utils"]
UNUSED += ["torch.utils.data", "tqdm", "PIL", "PIL.Image", "sklearn", "sklearn.cluster"]


def load(name: str, path: Path) -> types.ModuleType:
    """A file as a module, under a name that other files import it by."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def main(realism_clone: Path, rarity_clone: Path, out: Path) -> None:
    """Writes features and scores."""
    for name in UNUSED:
        sys.modules.setdefault(name, MagicMock())
    sys.modules["tqdm"].trange = lambda n, **_: range(n)
    rng = np.random.default_rng(SEED)
    real = np.round(rng.normal(size=(41, 5)), 4)
    fake = np.round(rng.normal(size=(25, 5)) * 1.3, 4)

    tool = load("improved_precision_recall", realism_clone / "improved_precision_recall.py")
    radii = tool.distances2radii(tool.compute_pairwise_distances(real), k=K)
    small = radii <= np.median(radii)
    pruned = tool.Manifold(real[small], radii[small])
    realism = [tool.realism(pruned, row) for row in fake]

    load("improved_precision_recall", rarity_clone / "improved_precision_recall.py")
    rarity_tool = load("rarity_score", rarity_clone / "rarity_score.py")
    manifold = rarity_tool.MANIFOLD(real, fake)
    rarity, _ = manifold.rarity(k=K)

    commits = COMMITS | {"numpy": np.__version__, "torch": torch.__version__}
    values = {"tools": commits, "k": K, "real": real.tolist(), "fake": fake.tolist()}
    values |= {"realism": realism, "rarity": [float(value) for value in rarity]}
    out.write_text(json.dumps(values) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
