"""The pickle reader: it reads tensors and runs nothing."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np

from .. import torchscript
from ..errors import INTEGRITY, SetupError
from .support import FolderTest

# A module tree in pickle opcodes, as TorchScript writes it: one object of the archive's own class with one tensor.
_HEAD = b"\x80\x02c__torch__.net\nNet\n)\x81}(X\x06\x00\x00\x00weight"
_TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQK\x00K\x02K\x03\x86%s\x89ccollections\nOrderedDict\n)RtR"
)
_TAIL = b"ub."


def tree(strides: bytes = b"K\x03K\x01\x86") -> bytes:
    """A network with the tensor `weight` of shape [2, 3]."""
    return _HEAD + _TENSOR.replace(b"%s", strides) + _TAIL


class Touch:
    """Pickles into a program that creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


class TorchScriptTest(FolderTest):
    def write(self, program: bytes, values: bytes) -> Path:
        path = self.folder / "net.pt"
        with zipfile.ZipFile(path, "w") as out:
            out.writestr("net/data.pkl", program)
            out.writestr("net/data/0", values)
        return path

    def refused(self, program: bytes, values: bytes = bytes(24)) -> str:
        with self.assertRaises(SetupError) as caught:
            torchscript.read_tensors(self.write(program, values))
        self.assertEqual(caught.exception.exit_code, INTEGRITY)
        return caught.exception.message

    def test_tensor_is_read_with_its_shape(self) -> None:
        values = np.arange(6, dtype="<f4")
        tensors = torchscript.read_tensors(self.write(tree(), values.tobytes()))
        self.assertEqual(list(tensors), ["weight"])
        np.testing.assert_array_equal(tensors["weight"], values.reshape(2, 3))

    def test_program_that_would_touch_a_file_is_refused_and_does_not(self) -> None:
        witness = self.folder / "touched"
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with self.subTest(protocol=protocol):
                message = self.refused(pickle.dumps(Touch(witness), protocol=protocol))
                self.assertRegex(message, "asks for (io|_io|builtins|__builtin__).open|uses the opcode")
        self.assertFalse(witness.exists())

    def test_the_touching_program_works_where_nothing_stops_it(self) -> None:
        witness = self.folder / "touched"
        pickle.loads(pickle.dumps(Touch(witness))).close()
        self.assertTrue(witness.exists())

    def test_well_known_ways_out_are_refused(self) -> None:
        for name in (
            b"os\nsystem",
            b"builtins\neval",
            b"posix\nsystem",
            b"torch\nload",
            b"__torch__\nos",
            b"pickle\nloads",
        ):
            with self.subTest(name=name):
                self.refused(b"c" + name + b"\n(X\x01\x00\x00\x001tR.")

    def test_module_that_holds_itself_is_refused(self) -> None:
        self.assertIn("twice", self.refused(b"\x80\x02c__torch__.net\nNet\n)\x81q\x00}(X\x01\x00\x00\x00ah\x00ub."))

    def test_memo_that_would_fill_memory_is_refused(self) -> None:
        self.assertIn("4294967295", self.refused(tree()[:-1] + b"r\xff\xff\xff\xff."))

    def test_class_that_is_not_a_module_tree_is_refused(self) -> None:
        self.assertIn("expected a module", self.refused(b"\x80\x02}."))

    def test_tensor_that_does_not_fit_its_bytes_is_refused(self) -> None:
        self.refused(tree(), bytes(20))
        self.refused(tree(), bytes(28))
        self.refused(tree(strides=b"K\x01K\x02\x86"))

    def test_storage_key_cannot_name_a_path(self) -> None:
        program = tree().replace(b"X\x01\x00\x00\x000X", b"X\x04\x00\x00\x00../0X")
        self.assertIn("unexpected storage", self.refused(program))

    def test_every_truncation_of_the_pickle_is_refused(self) -> None:
        program = tree()
        for length in range(len(program)):
            with self.subTest(length=length):
                self.refused(program[:length])

    def test_no_mutation_escapes_as_another_error(self) -> None:
        generator = np.random.default_rng(0)
        program = tree()
        for _ in range(1000):
            mutated = bytearray(program)
            mutated[generator.integers(len(program))] = generator.integers(256)
            try:
                torchscript.read_tensors(self.write(bytes(mutated), bytes(24)))
            except SetupError as error:
                self.assertEqual(error.exit_code, INTEGRITY)
