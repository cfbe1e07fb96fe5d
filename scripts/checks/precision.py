"""Table 1 at scale smoke in other precisions, held against float32 by ONNX Runtime's own kernels.

    scripts/just test-precision             # after scripts/just reproduce-table1 smoke
    python scripts/checks/precision.py DUBENCH RESULTS_FOLDER

Prints, for each way of computing, how far scores and FID move. Scores of float32 must agree to 1e-4; in half precision
the order of the images must (Spearman's rho 0.99), and FID must stay inside its standard error.
"""

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = ROOT / "experiments"
MODEL = EXPERIMENTS / "models/ddpm-cifar10-small"
FORWARD, TRAIN, DESCRIPTION = "denoiser.onnx", "denoiser_train.onnx", "model.yaml"


def run(command: list[str], **more: str) -> None:
    """A command that must succeed; what it says is shown where it does not."""
    done = subprocess.run(command, env=os.environ | more, text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def half_bundle(dubench: str, folder: Path) -> None:
    """The shipped network in half precision, under its name."""
    folder.mkdir()
    for name in (FORWARD, TRAIN):
        run([dubench, "graph", "half", str(MODEL / name), "-o", str(folder / name)])
    run([dubench, "model", "init", str(folder)])
    description = folder / DESCRIPTION
    text = description.read_text(encoding="utf-8").replace('name: "half"', "name: ddpm-cifar10-small")
    description.write_text(text, encoding="utf-8")


def experiment(folder: Path, model: str) -> Path:
    """Table 1 with another model; relative paths start at the folder of a file, so its neighbours come along."""
    folder.mkdir()
    for name in ("extractors", "reference", "published", "base", "table1-cifar10.yaml"):
        (folder / name).symlink_to(EXPERIMENTS / name)
    path = folder / "other.yaml"
    path.write_text(f"extends: table1-cifar10.yaml\nmodel: {model}\n", encoding="utf-8")
    return path


def table(folder: Path) -> tuple[dict[str, np.ndarray], float, float]:
    """Scores by method; FID of the pool and its standard error."""
    scores = pq.read_table(folder / "scores.parquet").to_pydict()
    rows = pq.read_table(folder / "metrics.parquet").to_pylist()
    pool = next(row for row in rows if row["method"] == "full" and row["metric"] == "fid")
    methods = {name: np.array(values) for name, values in scores.items() if name != "sample_id"}
    return methods, pool["value"], pool["se"]


def rank(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values))


def compare(what: str, plain: Path, other: Path, is_float32: bool) -> list[str]:
    """Prints one row and returns what does not hold."""
    (a, fid, se), (b, fid_other, _) = table(plain), table(other)
    moved = max(float(np.max(np.abs(a[m] - b[m]) / np.abs(a[m]))) for m in a)
    rho = min(float(np.corrcoef(rank(a[m]), rank(b[m]))[0, 1]) for m in a)
    print(f"{what:<28} scores within {moved:.1e}, rho at least {rho:.4f}, FID {fid:.2f} -> {fid_other:.2f} (SE {se:.2f})")
    faults = []
    if is_float32 and moved > 1e-4:
        faults.append(f"{what}: scores move by {moved:.1e}, more than 1e-4")
    if rho < 0.99:
        faults.append(f"{what}: the order of the images changes, rho {rho:.4f}")
    if abs(fid - fid_other) > se:
        faults.append(f"{what}: FID moves by {fid_other - fid:+.2f}, more than its standard error {se:.2f}")
    return faults


def openvino() -> str | None:
    """Why OpenVINO cannot be tried here."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return "the OpenVINO build is for Linux on x86-64"
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return None if "avx512_bf16" in flags else "the processor has no bfloat16"


def main(dubench: str, plain: Path) -> None:
    shipped = f"{{kind: bundle, path: {MODEL}"
    ways = [("float16 graph, cpu", None, "cpu")]
    reason = openvino()
    if reason:
        print(f"SKIPPED openvino: {reason}")
    else:
        ways += [("float32, openvino", f"{shipped}}}", "openvino")]
        ways += [("bfloat16, openvino", f"{shipped}, precision: bfloat16}}", "openvino")]
    faults = []
    with tempfile.TemporaryDirectory() as temporary:
        for number, (what, model, device) in enumerate(ways):
            folder = Path(temporary) / str(number)
            folder.mkdir()
            if model is None:
                half_bundle(dubench, folder / "half")
                model = f"{{kind: bundle, path: {folder / 'half'}}}"
            file = experiment(folder / "experiments", model)
            library = {}
            if device == "openvino":
                command = [str(ROOT / "scripts/setup.sh"), "--where", "onnxruntime-openvino"]
                run([command[0], "openvino", "--only", "onnxruntime-openvino"])
                library["ORT_DYLIB_PATH"] = subprocess.check_output(command, text=True).strip()
            options = ["--scale", "smoke", "--device", device, "--quiet"]
            places = ["--work-dir", str(folder / "work"), "--results-dir", str(folder / "results")]
            run([dubench, "run", str(file), *options, *places], **library)
            faults += compare(what, plain, folder / "results/table1-cifar10/smoke", what.startswith("float32"))
    sys.exit("\n".join(faults) or 0)


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).resolve()), Path(sys.argv[2]))
