"""The list of pins: the real one is complete, a malformed one is refused with the place of the fault."""

from __future__ import annotations

import re
from pathlib import Path

from .. import install, pins
from ..errors import INPUT, USAGE, SetupError
from .support import FolderTest

REAL = Path(__file__).resolve().parents[3] / "experiments" / "assets.yaml"
ENTRY = """
format: 1
assets:
  - name: a
    kind: library
    version: "1"
    licence: MIT
    build: members
    devices: [cpu]
    sources: [{npm: a@1, file: a.tgz, bytes: 1, sha256: "00"}]
    outputs: [{path: a/b, bytes: 1, sha256: "00", member: b}]
"""


class PinsTest(FolderTest):
    def load(self, text: str) -> list[pins.Asset]:
        path = self.folder / "assets.yaml"
        path.write_text(text, encoding="utf-8")
        return pins.load(path)

    def test_every_real_pin_is_whole(self) -> None:
        assets = pins.load(REAL)
        for asset in assets:
            self.assertIn(asset.build, install.BUILDERS)
            for source in asset.sources:
                self.assertRegex(source.checksum[1], re.compile(r"^([0-9a-f]{64}|[0-9a-f]{32})$"))
            for output in asset.outputs:
                self.assertRegex(output.sha256, re.compile(r"^[0-9a-f]{64}$"))
        paths = [(asset.platform, output.path) for asset in assets for output in asset.outputs]
        self.assertEqual(len(paths), len(set(paths)))

    def test_extractor_bundle_names_the_same_network(self) -> None:
        bundle = (REAL.parent / "extractors" / "fid-inception.yaml").read_text(encoding="utf-8")
        (asset,) = [asset for asset in pins.load(REAL) if asset.name == "fid-inception"]
        self.assertIn(f"sha256: {asset.outputs[0].sha256}\n", bundle)
        self.assertIn(f"path: {asset.outputs[0].path} ", bundle)

    def test_each_device_gets_its_own_library(self) -> None:
        assets = pins.load(REAL)
        for device, version in (("cpu", "1.32.0"), ("cuda", "1.31.1")):
            chosen = pins.select(assets, device, [], "linux-x86_64")
            self.assertEqual([asset.version for asset in chosen if asset.kind == "library"], [version])

    def test_malformed_lists_are_refused_with_the_place(self) -> None:
        faults = {
            "format: 2": ENTRY.replace("format: 1", "format: 2"),
            "assets[0]": ENTRY.replace("licence: MIT", "licenze: MIT"),
            "assets[0].sources[0]": ENTRY.replace('sha256: "00"}]\n    outputs', "}]\n    outputs"),
            "no single place": ENTRY.replace("npm: a@1", "npm: a@1, url: x"),
            "leaves the cache": ENTRY.replace("a/b", "../b"),
            "no plain name": ENTRY.replace("a.tgz", "../a.tgz"),
            "quote it": ENTRY.replace('version: "1"', "version: 1.5"),
            "outputs is empty": ENTRY.replace('[{path: a/b, bytes: 1, sha256: "00", member: b}]', "[]"),
            "cannot be read": "a: [",
        }
        self.assertEqual(len(self.load(ENTRY)), 1)
        for expected, text in faults.items():
            with self.subTest(fault=expected), self.assertRaises(SetupError) as caught:
                self.load(text)
            self.assertEqual(caught.exception.exit_code, INPUT)
            if not expected.startswith("format"):
                self.assertIn(expected, str(caught.exception))

    def test_unknown_names_and_platforms_are_usage_errors(self) -> None:
        assets = pins.load(REAL)
        for only, machine in ((["nope"], "linux-x86_64"), (["onnxruntime"], "plan9-mips")):
            with self.assertRaises(SetupError) as caught:
                pins.select(assets, "cpu", only, machine)
            self.assertEqual(caught.exception.exit_code, USAGE)
