"""Finished files: published whole or not at all, once, and trusted only while unchanged."""

from __future__ import annotations

import contextlib
import errno
import io
import multiprocessing
import os
import zipfile
from pathlib import Path
from unittest import mock

from .. import cache, install
from ..errors import INTEGRITY, RESOURCES, SetupError, from_os_error
from ..pins import Asset
from .support import FlakyServer, FolderTest, member_asset, url_source

CONTENT = bytes(range(256)) * 1000


def _archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        out.writestr("pkg/thing.so.1", CONTENT)
    return buffer.getvalue()


def _ensure(asset: Asset, root: Path) -> None:
    with contextlib.redirect_stderr(io.StringIO()):
        install.ensure(asset, root)


class InstallTest(FolderTest):
    def setUp(self) -> None:
        super().setUp()
        self.archive = _archive()
        self.target = self.folder / "lib" / "thing.so"

    def asset(self, url: str, content: bytes = CONTENT) -> Asset:
        return member_asset(url_source(url, self.archive), "pkg/thing.so.1", content)

    def test_second_call_asks_nobody(self) -> None:
        with FlakyServer(self.archive) as server:
            asset = self.asset(server.url)
            _ensure(asset, self.folder)
        _ensure(asset, self.folder)
        self.assertEqual(self.target.read_bytes(), CONTENT)
        self.assertEqual(len(server.requests), 1)

    def test_file_of_somebody_else_is_accepted_if_it_is_the_right_one(self) -> None:
        self.target.parent.mkdir()
        self.target.write_bytes(CONTENT)
        _ensure(self.asset("http://127.0.0.1:9/nobody"), self.folder)
        self.assertTrue(install.is_ready(self.asset(""), self.folder))

    def test_changed_file_is_noticed_and_rebuilt(self) -> None:
        with FlakyServer(self.archive) as server:
            asset = self.asset(server.url)
            _ensure(asset, self.folder)
            self.target.write_bytes(CONTENT[:-1] + b"!")
            self.assertFalse(install.is_ready(asset, self.folder))
            _ensure(asset, self.folder)
        self.assertEqual(self.target.read_bytes(), CONTENT)

    def test_verify_finds_a_bit_flip_that_kept_size_and_time(self) -> None:
        with FlakyServer(self.archive) as server:
            asset = self.asset(server.url)
            _ensure(asset, self.folder)
            status = self.target.stat()
            self.target.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
            os.utime(self.target, ns=(status.st_atime_ns, status.st_mtime_ns))
            self.assertTrue(install.is_ready(asset, self.folder))
            with self.assertRaises(SetupError) as caught:
                install.verify(asset, self.folder)
            self.assertEqual(caught.exception.exit_code, INTEGRITY)
            _ensure(asset, self.folder)
        self.assertEqual(self.target.read_bytes(), CONTENT)

    def test_wrong_result_is_not_published(self) -> None:
        with FlakyServer(self.archive) as server, self.assertRaises(SetupError) as caught:
            _ensure(self.asset(server.url, content=CONTENT[::-1]), self.folder)
        self.assertEqual(caught.exception.exit_code, INTEGRITY)
        self.assertFalse(self.target.exists())

    def test_processes_at_once_fetch_once(self) -> None:
        with FlakyServer(self.archive) as server:
            asset = self.asset(server.url)
            workers = [multiprocessing.Process(target=_ensure, args=(asset, self.folder)) for _ in range(4)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        self.assertEqual([worker.exitcode for worker in workers], [0] * 4)
        self.assertEqual(self.target.read_bytes(), CONTENT)
        self.assertEqual(len(server.requests), 1)

    def test_nothing_half_written_stays_behind(self) -> None:
        with self.assertRaises(OSError), cache.publish(self.target) as temporary:
            temporary.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", str(temporary))
        self.assertEqual(list(self.target.parent.iterdir()), [])

    def test_full_disk_gets_a_remedy(self) -> None:
        failure = from_os_error(OSError(errno.ENOSPC, "No space left on device", "x"))
        self.assertEqual(failure.exit_code, RESOURCES)
        self.assertIn("DUBENCH_CACHE", failure.remedy)

    def test_cache_folder_follows_the_environment(self) -> None:
        with mock.patch.dict(os.environ, {"DUBENCH_CACHE": str(self.folder)}):
            self.assertEqual(cache.cache_root(), self.folder)
