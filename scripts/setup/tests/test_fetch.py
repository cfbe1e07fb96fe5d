"""Downloads: wrong bytes, broken connections, no connection."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from unittest import mock

from .. import fetch
from ..errors import INTEGRITY, RESOURCES, SetupError
from ..pins import Source
from .support import FlakyServer, FolderTest, sha256, url_source

DATA = bytes(range(256)) * 4000


class FetchTest(FolderTest):
    def obtain(self, *sources: Source):
        with contextlib.redirect_stderr(io.StringIO()):
            return fetch.obtain(sources, self.folder)

    def test_whole_file_is_accepted_and_not_asked_for_again(self) -> None:
        with FlakyServer(DATA) as server:
            source = url_source(server.url, DATA)
            path, _ = self.obtain(source)
            self.obtain(source)
        self.assertEqual(path.read_bytes(), DATA)
        self.assertEqual(server.requests, [None])

    def test_wrong_bytes_end_the_run_and_leave_nothing(self) -> None:
        with FlakyServer(b"x" * len(DATA)) as server, self.assertRaises(SetupError) as caught:
            self.obtain(url_source(server.url, DATA), url_source(server.url, DATA))
        self.assertEqual(caught.exception.exit_code, INTEGRITY)
        self.assertIn(sha256(DATA), caught.exception.message)
        self.assertEqual(list(self.folder.iterdir()), [])
        self.assertEqual(len(server.requests), 1)

    def test_longer_file_than_pinned_is_refused(self) -> None:
        with FlakyServer(DATA + b"more") as server, self.assertRaises(SetupError) as caught:
            self.obtain(url_source(server.url, DATA))
        self.assertEqual(caught.exception.exit_code, INTEGRITY)

    def test_truncated_download_goes_on_where_it_stopped(self) -> None:
        with FlakyServer(DATA, cut=700_000, n_broken=1) as server:
            path, _ = self.obtain(url_source(server.url, DATA))
        self.assertEqual(path.read_bytes(), DATA)
        self.assertEqual(server.requests, [None, "bytes=700000-"])

    def test_what_one_run_got_is_kept_for_the_next(self) -> None:
        with FlakyServer(DATA, cut=100_000, n_broken=fetch._N_ATTEMPTS) as server:
            source = url_source(server.url, DATA)
            with self.assertRaises(SetupError) as caught:
                self.obtain(source)
            self.assertEqual(caught.exception.exit_code, RESOURCES)
            path, _ = self.obtain(source)
        self.assertEqual(path.read_bytes(), DATA)
        self.assertEqual(server.requests[-1], "bytes=300000-")

    def test_server_without_ranges_starts_again(self) -> None:
        with FlakyServer(DATA, cut=100_000, n_broken=1, ranges=False) as server:
            path, _ = self.obtain(url_source(server.url, DATA))
        self.assertEqual(path.read_bytes(), DATA)

    def test_second_source_serves_when_the_first_is_away(self) -> None:
        with FlakyServer(DATA) as gone:
            address = gone.url
        with FlakyServer(DATA) as server:
            path, source = self.obtain(url_source(address, DATA, "first"), url_source(server.url, DATA, "second"))
        self.assertEqual((path.name, source.file), ("second", "second"))

    def test_no_source_names_the_file_to_bring_by_hand(self) -> None:
        with FlakyServer(DATA) as gone:
            source = url_source(gone.url, DATA)
        with self.assertRaises(SetupError) as caught:
            self.obtain(source)
        self.assertEqual(caught.exception.exit_code, RESOURCES)
        self.assertIn(sha256(DATA), caught.exception.remedy)

    def test_damaged_file_in_the_folder_is_fetched_again(self) -> None:
        (self.folder / "file.zip").write_bytes(DATA[:-1] + b"!")
        with FlakyServer(DATA) as server:
            path, _ = self.obtain(url_source(server.url, DATA))
        self.assertEqual(path.read_bytes(), DATA)

    def test_full_disk_is_noticed_before_the_download(self) -> None:
        source = Source(file="huge", bytes=1 << 60, sha256="0" * 64, url="http://127.0.0.1:9/huge")
        with self.assertRaises(SetupError) as caught:
            self.obtain(source)
        self.assertEqual(caught.exception.exit_code, RESOURCES)

    def test_missing_npm_is_named(self) -> None:
        source = Source(file="a.tgz", bytes=1, sha256="0" * 64, npm="a@1")
        with mock.patch.dict(os.environ, {"PATH": str(self.folder)}), self.assertRaises(SetupError) as caught:
            self.obtain(source)
        self.assertEqual(caught.exception.exit_code, RESOURCES)
        self.assertIn("npm is not on PATH", caught.exception.message)

    def test_a_debian_package_is_asked_of_apt_and_its_absence_is_named(self) -> None:
        source = Source(file="a_1_all.deb", bytes=7, sha256=sha256(b"content"), apt="a=1")
        with mock.patch.dict(os.environ, {"PATH": str(self.folder)}), self.assertRaises(SetupError) as caught:
            self.obtain(source)
        self.assertIn("Debian package a=1 (apt-get is not on PATH", caught.exception.message)
        apt = self.folder / "apt-get"
        apt.write_text('#!/bin/sh\n[ "$1 $3" = "download a=1" ] && printf content > a_1_all.deb\n', encoding="utf-8")
        apt.chmod(apt.stat().st_mode | stat.S_IXUSR)
        with mock.patch.dict(os.environ, {"PATH": str(self.folder)}):
            path, _ = self.obtain(source)
        self.assertEqual(path.read_bytes(), b"content")

    def test_registry_client_that_delivers_other_bytes_is_refused(self) -> None:
        tools = self.folder / "tools"
        tools.mkdir()
        npm = tools / "npm"
        npm.write_text("#!/bin/sh\nprintf other > a-1.tgz\n", encoding="utf-8")
        npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
        source = Source(file="a-1.tgz", bytes=5, sha256=sha256(b"right"), npm="a@1")
        path = f"{tools}{os.pathsep}{os.environ['PATH']}"
        with mock.patch.dict(os.environ, {"PATH": path}), self.assertRaises(SetupError) as caught:
            self.obtain(source)
        self.assertEqual(caught.exception.exit_code, INTEGRITY)
        self.assertFalse((self.folder / "a-1.tgz").exists())
