"""Small state dicts as torch and safetensors themselves write them, for the readers of scripts/importer.

    python scripts/golden/import_files.py

Needs torch 2.15 and safetensors 0.8. The values follow from the names (`recipe.file_tensors`); the files hold what a
reader can get wrong: a transposed view, two tensors in one buffer, a scalar, an empty tensor, parameters, half types.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from importer.tests import recipe  # noqa: E402


def main() -> None:
    """Writes the files."""
    arrays = {name: torch.from_numpy(values.copy()) for name, values in recipe.file_tensors().items()}
    shared = torch.stack([arrays["first"], arrays["second"]])
    state = OrderedDict(arrays)
    state["first"], state["second"] = shared[0], shared[1]
    state["transposed"] = arrays["transposed"].T.contiguous().T
    state["matrix"] = torch.nn.Parameter(arrays["matrix"])
    state["half"], state["brain"] = arrays["half"].half(), arrays["brain"].bfloat16()
    state._metadata = OrderedDict([("", {"version": 1})])
    torch.save(state, recipe.DATA / "state-zip.pt")
    torch.save(state, recipe.DATA / "state-legacy.pt", _use_new_zipfile_serialization=False)
    save_file(
        {name: value.contiguous().detach().clone() for name, value in state.items()}, recipe.DATA / "state.safetensors"
    )


if __name__ == "__main__":
    main()
