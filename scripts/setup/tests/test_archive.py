"""Archives: names that leave the folder, links, damage."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

from .. import archive
from ..errors import INTEGRITY, SetupError
from .support import FolderTest

UNSAFE = ("../evil", "/evil", "a/../../evil", "..\\evil", "C:evil")


class ArchiveTest(FolderTest):
    def zip_of(self, *names: str) -> Path:
        path = self.folder / "a.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            for name in names:
                out.writestr(name, b"content")
        return path

    def tar_of(self, *entries: tarfile.TarInfo) -> Path:
        path = self.folder / "a.tgz"
        with tarfile.open(path, "w:gz") as out:
            for entry in entries:
                entry.size = 7 if entry.isreg() else 0
                out.addfile(entry, io.BytesIO(b"content") if entry.isreg() else None)
        return path

    def deb_of(self, *entries: tarfile.TarInfo, data: str = "data.tar.xz") -> Path:
        inner = self.folder / "data.tar.xz"
        with tarfile.open(inner, "w:xz") as out:
            for entry in entries:
                entry.size = 7 if entry.isreg() else 0
                out.addfile(entry, io.BytesIO(b"content") if entry.isreg() else None)
        path = self.folder / "a.deb"
        members = ((b"debian-binary", b"2.0\n"), (b"control.tar.xz", b"odd"), (data.encode(), inner.read_bytes()))
        with path.open("wb") as deb:
            deb.write(b"!<arch>\n")
            for name, content in members:
                deb.write(name.ljust(16) + b"0".ljust(12) + b"0".ljust(6) * 2 + b"100644".ljust(8))
                deb.write(str(len(content)).encode().ljust(10) + b"`\n" + content + b"\n" * (len(content) % 2))
        return path

    def refused(self, path: Path, member: str) -> str:
        target = self.folder / "out"
        target.mkdir(exist_ok=True)
        with self.assertRaises(SetupError) as caught:
            archive.extract(path, [member], target)
        self.assertEqual(caught.exception.exit_code, INTEGRITY)
        return caught.exception.message

    def test_members_come_out_under_their_last_name(self) -> None:
        for path in (self.zip_of("pkg/a", "pkg/b"), self.tar_of(tarfile.TarInfo("pkg/a"), tarfile.TarInfo("pkg/b"))):
            target = self.folder / path.suffix
            target.mkdir()
            found = archive.extract(path, ["pkg/a"], target)
            self.assertEqual(found["pkg/a"].read_bytes(), b"content")
            self.assertEqual([entry.name for entry in target.iterdir()], ["a"])

    def test_a_debian_package_gives_its_data_and_its_links_are_left_alone(self) -> None:
        link = tarfile.TarInfo("./usr/share/doc/a")
        link.type, link.linkname = tarfile.SYMTYPE, "../../../b"
        path = self.deb_of(link, tarfile.TarInfo("./usr/share/a"))
        found = archive.extract(path, ["./usr/share/a"], self.folder)
        self.assertEqual(found["./usr/share/a"].read_bytes(), b"content")
        self.assertFalse((self.folder / "b").exists())
        self.assertIn("does not hold", self.refused(path, "./usr/share/doc/a"))

    def test_a_debian_package_without_its_data_or_cut_short_is_refused(self) -> None:
        entry = tarfile.TarInfo("./a")
        self.assertIn("holds no data.tar.xz", self.refused(self.deb_of(entry, data="data.tar.zst"), "./a"))
        path = self.deb_of(entry)
        path.write_bytes(path.read_bytes()[:-100])
        self.assertIn("damaged", self.refused(path, "./a"))
        path.write_bytes(b"no archive at all")
        self.assertIn("no Debian package", self.refused(path, "./a"))

    def test_zip_with_an_unsafe_name_is_refused(self) -> None:
        for name in UNSAFE:
            with self.subTest(name=name):
                self.assertIn("unsafe name", self.refused(self.zip_of(name, "pkg/a"), "pkg/a"))
        self.assertFalse((self.folder.parent / "evil").exists())

    def test_tar_with_an_unsafe_name_is_refused(self) -> None:
        for name in UNSAFE:
            with self.subTest(name=name):
                self.assertIn("unsafe name", self.refused(self.tar_of(tarfile.TarInfo(name)), "pkg/a"))

    def test_asking_for_an_unsafe_member_does_not_help(self) -> None:
        self.refused(self.zip_of("../evil"), "../evil")
        self.assertFalse((self.folder / "evil").exists())

    def test_links_and_devices_are_refused(self) -> None:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            entry = tarfile.TarInfo("pkg/a")
            entry.type, entry.linkname = kind, "/etc/hostname"
            self.assertIn("link or a device", self.refused(self.tar_of(entry), "pkg/a"))

    def test_missing_member_is_named(self) -> None:
        self.assertIn("pkg/b", self.refused(self.zip_of("pkg/a"), "pkg/b"))

    def test_every_truncation_is_refused(self) -> None:
        for whole in (self.zip_of("pkg/a"), self.tar_of(tarfile.TarInfo("pkg/a"))):
            data = whole.read_bytes()
            for length in range(0, len(data) - 20, 9):
                cut = self.folder / f"cut{length}{whole.suffix}"
                cut.write_bytes(data[:length])
                with self.subTest(file=cut.name), self.assertRaises(SetupError):
                    (self.folder / f"{length}{whole.suffix}.d").mkdir()
                    archive.extract(cut, ["pkg/a"], self.folder / f"{length}{whole.suffix}.d")
