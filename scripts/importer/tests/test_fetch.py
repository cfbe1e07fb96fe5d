"""Fetching checkpoints: whole or not at all, and the same bytes ever after."""

from __future__ import annotations

import contextlib
import io
import json
from unittest import mock

from setup.errors import INTEGRITY, RESOURCES

from .. import fetch
from .support import FlakyServer, FolderTest

CONTENT = b"PK\x03\x04" + bytes(range(256)) * 40


class FetchTest(FolderTest):
    def fetch(self, url: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of the command for one made-up file."""
        each = fetch.Published(url, "net.pt", 1, "MIT", "adm64 {file}")
        with (
            mock.patch.dict(fetch.PUBLISHED, {"adm64": each}),
            contextlib.redirect_stdout(io.StringIO()) as out,
            contextlib.redirect_stderr(io.StringIO()) as err,
        ):
            code = fetch.main(["--folder", str(self.folder), "adm64"])
        return code, out.getvalue(), err.getvalue()

    def test_a_broken_connection_is_taken_up_and_the_hash_recorded(self) -> None:
        with FlakyServer(CONTENT, cut=1000, n_broken=1) as server:
            code, out, err = self.fetch(server.url)
        self.assertEqual(code, 0, err)
        self.assertIn(f"import adm64 {self.folder / 'net.pt'}", out)
        self.assertEqual((self.folder / "net.pt").read_bytes(), CONTENT)
        self.assertEqual(json.loads((self.folder / fetch.LOCK).read_text())["net.pt"]["bytes"], len(CONTENT))

    def test_a_file_that_is_there_is_not_fetched_again(self) -> None:
        (self.folder / "net.pt").write_bytes(CONTENT)
        self.assertEqual(self.fetch("http://127.0.0.1:9/net.pt")[0], 0)

    def test_other_bytes_than_at_first_use_are_damage(self) -> None:
        (self.folder / "net.pt").write_bytes(CONTENT)
        self.assertEqual(self.fetch("http://127.0.0.1:9/net.pt")[0], 0)
        (self.folder / "net.pt").write_bytes(CONTENT[:-1] + b"x")
        code, _, err = self.fetch("http://127.0.0.1:9/net.pt")
        self.assertEqual(code, INTEGRITY)
        self.assertIn("at first use it had", err)

    def test_offline_it_says_the_address_and_the_place(self) -> None:
        code, _, err = self.fetch("http://127.0.0.1:9/net.pt")
        self.assertEqual(code, RESOURCES)
        self.assertIn("http://127.0.0.1:9/net.pt", err)
        self.assertIn(f"put it at {self.folder / 'net.pt'}", err)
        self.assertFalse((self.folder / "net.pt").exists())

    def test_a_pipeline_is_named_with_the_one_command_that_exports_it(self) -> None:
        for name in ("sd15", "sd21", "sdxl", "sd3", "clip"):
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = fetch.main([name])
            self.assertEqual(code, 0)
            self.assertEqual(out.getvalue(), f"{fetch.PIPELINES[name].command()}\n")
            self.assertTrue(out.getvalue().startswith("optimum-cli export onnx --model "))
            self.assertEqual("without T5" in err.getvalue(), name == "sd3")

    def test_a_web_page_is_no_checkpoint(self) -> None:
        with FlakyServer(b"<!DOCTYPE html><title>Quota exceeded</title>") as server:
            code, _, err = self.fetch(server.url)
        self.assertEqual(code, RESOURCES)
        self.assertIn("answers with a web page", err)
        self.assertEqual([path.name for path in self.folder.iterdir()], [])

    def test_every_published_file_has_a_licence_and_an_address_of_its_authors(self) -> None:
        for name, each in fetch.PUBLISHED.items():
            with self.subTest(name=name):
                self.assertTrue(each.url.startswith("https://"))
                self.assertTrue(each.licence)
                self.assertGreater(each.megabytes, 100)
                self.assertTrue(each.command.startswith(name))
