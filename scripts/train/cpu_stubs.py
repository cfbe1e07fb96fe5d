"""Let the PyPI build of torch import on a machine without CUDA libraries.

The x86-64 wheel is linked against cuBLAS, cuDNN and other CUDA libraries, 2 GB of wheels that a CPU run never
calls. This script writes small stand-in libraries next to torch's own: each defines the symbols that torch imports
from that library, as functions that abort. `nvidia-cuda-runtime` and `nvidia-cuda-cupti` stay real, because torch
calls them while it loads. Needs `gcc` and `readelf`. Run it with the Python that torch was installed into:

    python scripts/train/cpu_stubs.py
"""

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Prefix of an imported symbol -> library that would define it. Longer prefixes are tried first.
LIBRARY_OF_PREFIX = {
    "cublas": "libcublas.so.13",
    "cublasLt": "libcublasLt.so.13",
    "cudnn": "libcudnn.so.9",
    "cuFile": "libcufile.so.0",
    "cufft": "libcufft.so.12",
    "cusolver": "libcusolver.so.12",
    "cusparse": "libcusparse.so.12",
    "cusparseLt": "libcusparseLt.so.0",
    "nccl": "libnccl.so.2",
    "nvrtc": "libnvrtc.so.13",
    "nvshmem": "libnvshmem_host.so.3",
    "pncclx": "libnccl.so.2",
}
PREFIXES = sorted(LIBRARY_OF_PREFIX, key=len, reverse=True)
UNDEFINED = re.compile(r"\bUND\s+(?P<name>\w+)(?:@{1,2}(?P<version>[\w.]+))?")

# library -> version node ("" for none) -> symbols
Wanted = dict[str, dict[str, set[str]]]


def torch_library_folder() -> Path:
    """Folder of torch's shared libraries, found without importing torch (which would fail)."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        sys.exit("cpu_stubs: torch is not installed for this Python: see scripts/train/README.md")
    return Path(spec.origin).parent / "lib"


def undefined_symbols(shared_object: Path) -> Iterator[tuple[str, str]]:
    """Yield (name, version node) of every symbol that `shared_object` expects from others."""
    command = ["readelf", "--wide", "--dyn-syms", str(shared_object)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for match in UNDEFINED.finditer(listing):
        yield match["name"], match["version"] or ""


def collect(folder: Path) -> Wanted:
    """Group the CUDA symbols that torch imports by the library they would come from."""
    wanted: Wanted = {library: {} for library in LIBRARY_OF_PREFIX.values()}
    for shared_object in [*folder.glob("libtorch*.so"), *folder.glob("libc10*.so")]:
        for name, version in undefined_symbols(shared_object):
            prefix = next((p for p in PREFIXES if name.startswith(p)), None)
            if prefix is not None:
                wanted[LIBRARY_OF_PREFIX[prefix]].setdefault(version, set()).add(name)
    return wanted


def build(library: str, by_version: dict[str, set[str]], folder: Path) -> int:
    """Compile one stand-in library; return how many symbols it defines."""
    names = sorted(set().union(*by_version.values()))
    with tempfile.TemporaryDirectory() as work:
        source = Path(work, "stub.c")
        lines = ["#include <stdlib.h>", *(f"void {name}(void) {{ abort(); }}" for name in names)]
        source.write_text("\n".join(lines) + "\n")
        command = ["gcc", "-shared", "-fPIC", "-w", f"-Wl,-soname,{library}", str(source), "-o", str(folder / library)]
        nodes = [
            f"{version} {{ global: {' '.join(name + ';' for name in sorted(symbols))} }};"
            for version, symbols in by_version.items()
            if version
        ]
        if nodes:
            script = Path(work, "stub.map")
            script.write_text("\n".join(nodes) + "\n")
            command.append(f"-Wl,--version-script={script}")
        subprocess.run(command, check=True)
    return len(names)


def main() -> None:
    """Write every stand-in library beside torch's own."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    missing = [tool for tool in ("gcc", "readelf") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"cpu_stubs: {' and '.join(missing)} not found: install the C compiler and binutils")
    folder = torch_library_folder()
    for library, by_version in collect(folder).items():
        print(f"{library}: {build(library, by_version, folder)} symbols")


if __name__ == "__main__":
    main()
