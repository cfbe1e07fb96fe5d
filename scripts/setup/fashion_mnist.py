"""Fashion-MNIST images as the unpacked IDX file that their authors publish.

The Debian package and the upstream address carry the same file, compressed by different programs: what counts is the
hash of what is inside.
"""

from __future__ import annotations

import gzip
import shutil
import zlib
from pathlib import Path

from . import archive
from .errors import integrity
from .pins import Source


def write(package: Path, source: Source, member: str, target: Path) -> None:
    """Unpacks `member` of the Debian package, or the one file that upstream publishes, to `target`."""
    if source.layout == "deb":
        package = archive.extract(package, [member], target.parent)[member]
    try:
        with gzip.open(package) as packed, target.open("xb") as out:
            shutil.copyfileobj(packed, out, 1 << 20)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise integrity(f"{package.name} is damaged ({error})", "run setup again") from None
