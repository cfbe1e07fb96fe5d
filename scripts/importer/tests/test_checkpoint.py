"""Readers of checkpoints: they read what torch and safetensors wrote, and run nothing."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
from setup.errors import INPUT, INTEGRITY, SetupError

from ..checkpoint import open_checkpoint
from . import recipe
from .support import FolderTest

FILES = ("state-zip.pt", "state-legacy.pt", "state.safetensors")


class Calls:
    """Pickles into a program that runs a shell command."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return (os.system, (f"touch '{self.witness}'",))


def zipped(program: bytes) -> bytes:
    """A file like torch.save's, with this pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        out.writestr("archive/data.pkl", program)
    return buffer.getvalue()


def legacy(program: bytes) -> bytes:
    """A file like torch.save's before 1.6, with this pickle in the place of the state dict."""
    parts = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    return b"".join(parts) + program + pickle.dumps([], 2)


class CheckpointTest(FolderTest):
    def refused(self, path: Path) -> SetupError:
        """The refusal of a file."""
        with self.assertRaises(SetupError) as caught:
            checkpoint = open_checkpoint(path)
            for tensor in checkpoint.tensors.values():
                tensor.read()
        return caught.exception

    def write(self, content: bytes) -> Path:
        path = self.folder / "state.pt"
        path.write_bytes(content)
        return path

    def test_files_of_torch_and_safetensors_are_read(self) -> None:
        expected = recipe.file_tensors()
        for name in FILES:
            with self.subTest(file=name):
                tensors = open_checkpoint(recipe.DATA / name).tensors
                self.assertEqual(set(tensors), set(expected))
                for key, values in expected.items():
                    self.assertEqual(tensors[key].shape, values.shape, key)
                    np.testing.assert_array_equal(tensors[key].read(), values, key)

    def test_types_are_told_before_reading(self) -> None:
        for name in FILES:
            tensors = open_checkpoint(recipe.DATA / name).tensors
            kinds = {key: tensors[key].dtype for key in ("matrix", "half", "brain", "count")}
            self.assertEqual(kinds, {"matrix": "float32", "half": "float16", "brain": "bfloat16", "count": "int64"})

    def test_a_pickle_that_calls_the_shell_is_refused_and_calls_nothing(self) -> None:
        witness = self.folder / "touched"
        for state in (Calls(witness), OrderedDict(weight=Calls(witness)), {"a": [Calls(witness)]}):
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                for pack in (zipped, legacy):
                    with self.subTest(protocol=protocol, pack=pack.__name__):
                        error = self.refused(self.write(pack(pickle.dumps(state, protocol))))
                        self.assertEqual(error.exit_code, INPUT)
                        self.assertRegex(error.message, r"asks for (posix|nt)\.system|uses the opcode [A-Z_0-9]+")
                        self.assertIn("nothing was run", error.message)
        self.assertFalse(witness.exists())

    def test_the_calling_program_works_where_nothing_stops_it(self) -> None:
        witness = self.folder / "touched"
        pickle.loads(pickle.dumps(Calls(witness)))
        self.assertTrue(witness.exists())

    def test_well_known_ways_out_are_refused_by_name(self) -> None:
        for name in ("builtins eval", "torch load", "torch.nn Module", "numpy.core.multiarray scalar", "pickle loads"):
            module, attribute = name.split()
            program = f"\x80\x02c{module}\n{attribute}\n(X\x01\x00\x00\x001tR.".encode("latin1")
            self.assertIn(f"{module}.{attribute}", self.refused(self.write(zipped(program))).message)

    def test_every_truncation_is_refused(self) -> None:
        for name in FILES:
            content = (recipe.DATA / name).read_bytes()
            for length in range(0, len(content), max(1, len(content) // 150)):
                with self.subTest(file=name, length=length):
                    self.assertIn(self.refused(self.write(content[:length])).exit_code, (INPUT, INTEGRITY))
            self.assertEqual(self.refused(self.write(content[: len(content) - 40])).exit_code, INTEGRITY)

    def test_no_mutation_escapes_as_another_error(self) -> None:
        generator = np.random.default_rng(0)
        for name in FILES:
            content = (recipe.DATA / name).read_bytes()
            for _ in range(400):
                mutated = bytearray(content)
                mutated[generator.integers(len(content))] = generator.integers(256)
                path = self.write(bytes(mutated))
                try:
                    for tensor in open_checkpoint(path).tensors.values():
                        tensor.read()
                except SetupError as error:
                    self.assertIn(error.exit_code, (INPUT, INTEGRITY))

    def test_a_damaged_buffer_is_found_by_its_checksum(self) -> None:
        content = bytearray((recipe.DATA / "state-zip.pt").read_bytes())
        place = content.index(np.float32(0.25).tobytes())
        content[place] ^= 1
        error = self.refused(self.write(bytes(content)))
        self.assertEqual(error.exit_code, INTEGRITY)
        self.assertIn("CRC", error.message)

    def test_what_is_no_state_dict_is_refused_by_what_it_is(self) -> None:
        for program, word in ((b"\x80\x02]q\x00.", "list"), (pickle.dumps({"epoch": 3, "lr": 1e-3}, 2), "epoch, lr")):
            error = self.refused(self.write(zipped(program)))
            self.assertEqual(error.exit_code, INPUT)
            self.assertIn(word, error.message)
        self.assertIn("no known format", self.refused(self.write(b"\x89PNG\r\n\x1a\n" + bytes(40))).message)
        self.assertEqual(self.refused(self.write(b"")).exit_code, INTEGRITY)
        self.assertEqual(self.refused(self.folder / "absent.pt").exit_code, INPUT)

    def test_a_tensor_cannot_reach_out_of_its_buffer(self) -> None:
        with zipfile.ZipFile(recipe.DATA / "state-zip.pt") as archive:
            parts = {entry: archive.read(entry) for entry in archive.namelist()}
        (name,) = (entry for entry in parts if entry.endswith("data.pkl"))
        wide = parts[name].replace(b"K\x03K\x04\x86", b"K\x03K\x05\x86", 1)
        self.assertNotEqual(wide, parts[name])
        path = self.folder / "wide.pt"
        with zipfile.ZipFile(path, "w") as out:
            for entry, content in {**parts, name: wide}.items():
                out.writestr(entry, content)
        self.assertIn("reaches element", self.refused(path).message)

    def test_compressed_buffers_are_refused_before_they_grow(self) -> None:
        path = self.folder / "packed.pt"
        with zipfile.ZipFile(recipe.DATA / "state-zip.pt") as archive, zipfile.ZipFile(path, "w") as out:
            for entry in archive.namelist():
                out.writestr(entry, archive.read(entry), zipfile.ZIP_DEFLATED)
        error = self.refused(path)
        self.assertEqual(error.exit_code, INPUT)
        self.assertIn("is compressed", error.message)

    def test_reading_leaves_the_file_alone(self) -> None:
        path = self.folder / "state.pt"
        shutil.copy(recipe.DATA / "state-zip.pt", path)
        path.chmod(0o444)
        self.assertEqual(len(open_checkpoint(path).tensors), len(recipe.file_tensors()))
        self.assertEqual(path.read_bytes(), (recipe.DATA / "state-zip.pt").read_bytes())
