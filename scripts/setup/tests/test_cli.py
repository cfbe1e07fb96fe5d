"""The command line: exit codes, answers on stdout, people's lines on stderr."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from unittest import mock

from .. import cli
from ..errors import INPUT, INTEGRITY, RESOURCES, USAGE
from .support import FlakyServer, FolderTest, sha256

LIST = """
format: 1
assets:
  - {{name: a, kind: k, version: "1", licence: MIT, build: members, devices: [cpu],
     sources: [{{url: "{url}", file: a.zip, bytes: 5, sha256: {pin}}}],
     outputs: [{{path: a/b, bytes: 1, sha256: "00", member: b}}]}}
"""


class CliTest(FolderTest):
    def run_cli(self, *arguments: str, url: str = "http://127.0.0.1:9/") -> tuple[int, str, str]:
        assets = self.folder / "assets.yaml"
        assets.write_text(LIST.format(url=url, pin=sha256(b"right")), encoding="utf-8")
        out, err = io.StringIO(), io.StringIO()
        command = ["setup", *arguments, *([] if "--assets" in arguments else ["--assets", str(assets)])]
        environment = mock.patch.dict(os.environ, {"DUBENCH_CACHE": str(self.folder / "cache")})
        redirected = (contextlib.redirect_stdout(out), contextlib.redirect_stderr(err))
        with mock.patch.object(sys, "argv", command), environment, redirected[0], redirected[1]:
            code = cli.main()
        return code, out.getvalue(), err.getvalue()

    def test_where_prints_the_path_alone(self) -> None:
        expected = f"{self.folder / 'cache' / 'a' / 'b'}\n"
        self.assertEqual(self.run_cli("--where", "a"), (0, expected, ""))

    def test_list_names_version_and_licence(self) -> None:
        self.assertEqual(self.run_cli("--list"), (0, "a\t1\tany\tMIT\n", ""))

    def test_exit_codes_are_the_documented_ones(self) -> None:
        with FlakyServer(b"wrong") as server:
            failures = {
                USAGE: self.run_cli("--only", "nope"),
                INPUT: self.run_cli("--assets", str(self.folder / "missing.yaml")),
                INTEGRITY: self.run_cli(url=server.url),
            }
        failures[RESOURCES] = self.run_cli(url=server.url)
        for expected, (code, out, err) in failures.items():
            with self.subTest(code=expected):
                self.assertEqual((code, out), (expected, ""))
                self.assertTrue(err.splitlines()[-1].startswith("setup: "))
                self.assertNotIn("Traceback", err)

    def test_verify_of_nothing_says_so_and_builds_nothing(self) -> None:
        code, _, err = self.run_cli("--verify")
        self.assertEqual(code, INTEGRITY)
        self.assertIn("no file", err)
        self.assertFalse((self.folder / "cache" / "a").exists())
