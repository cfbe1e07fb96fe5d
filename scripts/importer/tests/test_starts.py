"""Starting points of the released code become the file of an experiment."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from pathlib import Path

import numpy as np

from .. import starts
from . import recipe, support

# What `torch.save(tensor, FILE)` pickles, with the type, shape and strides left open (written by hand, protocol 2).
_KINDS = {"float32": b"FloatStorage", "int64": b"LongStorage"}


def pickled(kind: str, shape: tuple[int, ...]) -> bytes:
    """The program that rebuilds one contiguous tensor over buffer 0."""

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    def numbers(values: list[int]) -> bytes:
        return b"(" + b"".join(map(number, values)) + b"t"

    def word(text: bytes) -> bytes:
        return b"X" + struct.pack("<I", len(text)) + text

    n = int(np.prod(shape))
    strides = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    storage = b"(" + word(b"storage") + b"ctorch\n" + _KINDS[kind] + b"\n" + word(b"0") + word(b"cpu") + number(n) + b"tQ"
    hooks = b"\x89ccollections\nOrderedDict\n)R"
    rebuilt = b"(" + storage + number(0) + numbers(list(shape)) + numbers(strides) + hooks + b"tR"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + rebuilt + b"."


class StartsTest(support.FolderTest):
    def saved(self, name: str, array: np.ndarray) -> Path:
        """A tensor on its own, as `torch.save` writes it."""
        path = self.folder / name
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickled(array.dtype.name, array.shape))
            archive.writestr("archive/data/0", array.tobytes())
        return path

    def run_starts(self, *arguments: object) -> tuple[int, str]:
        """Exit code and all that was said."""
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            code = starts.main([str(argument) for argument in arguments])
        return code, said.getvalue()

    def test_tensors_of_states_and_classes_become_a_file_that_a_plan_takes(self) -> None:
        draw = recipe.generator("starts")
        states, classes = draw.standard_normal((30, 3, 16, 16), np.float32), np.arange(30) % 10
        x, y = self.saved("X_T.pth", states), self.saved("y.pth", classes)
        code, text = self.run_starts(x, y, "-o", self.folder / "starts.npz", "-n", 24)
        self.assertEqual(code, 0, text)
        self.assertIn("x_T [24, 3, 16, 16], y [24]", text)
        found = np.load(self.folder / "starts.npz", allow_pickle=False)
        np.testing.assert_array_equal(found["x_T"], states[:24])
        np.testing.assert_array_equal(found["y"], classes[:24])
        self.assertEqual(self.run_import(*support.write_case("adm-new", self.folder))[0], 0)
        np.savez(self.folder / "moments.npz", mu=np.full(12, 0.5), sigma=np.eye(12) / 12, n=np.array(24))
        experiment = self.folder / "given.yaml"
        head = "name: given\nquestion: Do they fit?\nartefact: none\nseed: 0\nmodel: {kind: bundle, path: adm-new}\n"
        rest = "sampler: {kind: ddim, n_steps: 4}\nfeatures: {kind: pixels, grid: 2}\n"
        rest += "reference: {dataset: toy, path: moments.npz}\nprotocol: {kind: filtering}\n"
        rest += "controls: [{kind: total_variation}]\nscales: {smoke: {n_pool: 24, n_keep: 20}}\n"
        experiment.write_text(head + rest + "starts: {path: starts.npz}\n", encoding="utf-8")
        text = support.dubench("plan", experiment, "--scale", "smoke", "--print")
        self.assertRegex(text, r"work\.starts\.n +24\n")

    def test_what_is_no_pair_of_starting_points_is_refused(self) -> None:
        states = self.saved("X_T.pth", np.zeros((4, 3, 2, 2), np.float32))
        few = self.saved("few.pth", np.arange(3))
        bad = self.saved("bad.pth", np.full((4, 3, 2, 2), np.nan, np.float32))
        out = self.folder / "starts.npz"
        dictionary = self.folder / "model.safetensors"
        zeros = np.zeros((4, 3, 2, 2), np.float32)
        dictionary.write_bytes(recipe.safetensors({"a": zeros, "b": zeros}))
        for arguments, words in (
            ((states, few), "has 3 classes from 0, "),
            ((few, states), r"is int64 \[3\], expected float32 of 4 axes"),
            ((bad,), "not finite"),
            ((dictionary,), "holds 2 tensors, expected one"),
        ):
            code, text = self.run_starts(*arguments, "-o", out)
            self.assertEqual(code, 3, text)
            self.assertRegex(text, words)
            self.assertFalse(out.exists())
        self.assertEqual(self.run_starts(states, "-o", out)[0], 0)
        code, text = self.run_starts(states, "-o", out)
        self.assertEqual(code, 2)
        self.assertIn("is there already", text)
