"""What does it cost to plan, to look at and to divide a large run, and what do hashing and syncing cost while it runs?

    cargo build -p dubench
    python scripts/bench/scale.py --binary target/debug/dubench --out results/bench-scale

Needs nothing but Python; the part on `generate` (left out with --quick) needs `just setup` and takes minutes. Times are
those of whole processes as their parent sees them. Run it on a quiet machine.
"""

import argparse
import io
import json
import os
import platform
import re
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE1 = ROOT / "experiments" / "table1-cifar10.yaml"
SHARDS = (1, 10, 100, 1000)

# The model with a closed form: its answers cost next to nothing, so that what is left is the harness.
FAKE = """
name: scale
question: What does the harness cost by itself?
artefact: none
model:
  kind: analytic
  shape: [3, 2, 2]
  mean: 0.1
  std: 0.5
  schedule: {{kind: linear, beta_start: 1.0e-4, beta_end: 0.02, n_train_steps: 1000}}
sampler: {{kind: ddim, n_steps: 10}}
seed: 7
estimators: [{{kind: sample_var, n_draws: 2, window: {{start: 8, len: 1}}}}]
features: {{kind: pixels, grid: 2}}
reference: {{dataset: toy, path: reference.npz}}
protocol: {{kind: filtering, n_random: 2, curve: {{n_parts: 4, n_points: 1, n_random: 2}}}}
scales:
  mini: {{n_pool: {n_pool}, n_keep: {n_keep}, block_size: {block_size}, batch_size: 64}}
"""


@dataclass
class Ended:
    """A process that has ended."""

    code: int
    seconds: float
    processor_seconds: float
    peak_mib: float
    answer: dict | list | None
    stderr: str


def run(binary: Path, *arguments: object) -> Ended:
    """Runs dubench; its time, its memory, its answer."""
    command = [str(binary), *map(str, arguments), "--format", "json"]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        text, errors = out.read().decode(), err.read().decode()
    parsed = json.loads(text) if text.strip() else None
    processor = usage.ru_utime + usage.ru_stime
    return Ended(child.returncode, seconds, processor, usage.ru_maxrss / 1024, parsed, errors)


def expect(ended: Ended, code: int) -> Ended:
    """Ends this program where dubench has ended otherwise than it should have."""
    if ended.code != code:
        sys.exit(f"scale: dubench ended with {ended.code}, expected {code}: {ended.stderr}")
    return ended


def npy(values: list[float], shape: tuple[int, ...]) -> bytes:
    """An array of f64."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + struct.pack(f"<{len(values)}d", *values)


def fake(folder: Path, n_pool: int, block_size: int) -> Path:
    """An experiment on the model with a closed form, with its reference statistics."""
    folder.mkdir(parents=True)
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        # Without the time of day, so that the same reference has the same hash in every folder.
        archive.writestr(zipfile.ZipInfo("mu.npy"), npy([0.55] * 12, (12,)))
        archive.writestr(zipfile.ZipInfo("sigma.npy"), npy([0.004 * (k % 13 == 0) for k in range(144)], (12, 12)))
    (folder / "reference.npz").write_bytes(memory.getvalue())
    path = folder / "scale.yaml"
    path.write_text(FAKE.format(n_pool=n_pool, n_keep=n_pool * 5 // 6, block_size=block_size))
    return path


def table1(folder: Path, block_size: int) -> Path:
    """Table 1 with its own networks and reference, at 60,000 images."""
    text = TABLE1.read_text()
    text = re.sub(r"((?:file|path): )(?=[a-z])", rf"\g<1>{TABLE1.parent}/", text)
    sizes = f"mini: {{n_pool: 60000, n_keep: 50000, block_size: {block_size}, batch_size: 16}}"
    text, n = re.subn(r"mini: \{[^}]*\}", sizes, text)
    if n != 1:
        sys.exit(f"scale: {TABLE1} has {n} scales called mini")
    path = folder / f"table1-{block_size}.yaml"
    path.write_text(text)
    return path


def best(n: int, measure) -> Ended:
    """The quickest of `n`."""
    return min((measure() for _ in range(n)), key=lambda ended: ended.seconds)


def status(binary: Path, folder: Path) -> list[dict]:
    """`dubench status` of 60,000 images with nothing done, and with everything done."""
    rows = []
    for block_size in (16, 1):
        experiment, work = table1(folder, block_size), folder / f"status-{block_size}"
        command = ("status", experiment, "--work-dir", work)
        ask = lambda code: best(3, lambda: expect(run(binary, *command), code))
        ended = ask(4)
        n_blocks = ended.answer[0]["n_blocks"]
        rows.append(row(f"status, 60,000 images, {n_blocks} blocks, none there", ended, "<= 1 s", ended.seconds <= 1))
        # Status looks at names alone, so names are all that it needs.
        printed = subprocess.run([binary, "plan", experiment, "--print"], capture_output=True, text=True, check=True)
        ids = dict(line.split(maxsplit=1) for line in printed.stdout.splitlines() if " " in line)
        for stage in ("generate", "features"):
            parts = work / "parts" / stage / ids[f"{stage}_id"][:8]
            parts.mkdir(parents=True)
            for block in range(n_blocks):
                (parts / f"block-{block:06d}.parquet").touch()
        ended = ask(0)
        rows.append(row(f"status, 60,000 images, {n_blocks} blocks, all there", ended, "<= 1 s", ended.seconds <= 1))
    return rows


def planning(binary: Path, folder: Path) -> list[dict]:
    """A plan of ten million images, and the first block of one of its thousand shards."""
    experiment = fake(folder / "plan", 10_000_000, 256)
    target = "<= 2 s, <= 200 MiB"
    hit = lambda ended: ended.seconds <= 2 and ended.peak_mib <= 200
    whole = best(3, lambda: expect(run(binary, "plan", experiment), 0))
    first = lambda work: run(
        binary, "generate", experiment, "--work-dir", work, "--shard", "999/1000", "--limit", 1, "--quiet"
    )
    block = expect(first(folder / "plan" / "work"), 4)
    return [
        row("plan, 10,000,000 images", whole, target, hit(whole)),
        row("plan, 10,000,000 images, and 1 block of shard 999/1000", block, target, hit(block)),
    ]


def shards(binary: Path, folder: Path, n_images: int) -> list[dict]:
    """The same images by 1 to 1,000 processes, one after another; all must give the same digits."""
    block_size = n_images // 1000
    rows, digests = [], set()
    for n in SHARDS:
        experiment = fake(folder / f"shards-{n}", n_images, block_size)
        work = experiment.parent / "work"
        ended = []
        for index in range(n):
            command = ("run", experiment, "--work-dir", work, "--shard", f"{index}/{n}", "--threads", 1, "--quiet")
            command += ("--results-dir", experiment.parent / "results")
            ended.append(expect(run(binary, *command), 0))
        common = (experiment, "--work-dir", work, "--results-dir", experiment.parent / "results", "--threads", 1)
        merged = expect(run(binary, "evaluate", *common, "--quiet"), 0)
        reported = expect(run(binary, "report", *common, "--quiet"), 0)
        digests.add(reported.answer["metrics_sha256"])
        total = Ended(
            0,
            sum(one.seconds for one in ended),
            sum(one.processor_seconds for one in ended),
            max(one.peak_mib for one in ended),
            None,
            "",
        )
        rows.append(row(f"{n} shards of {n_images} images in 1000 blocks", total) | {"shards": n})
        rows.append(row(f"evaluate after {n} shards", merged))
    if len(digests) != 1:
        sys.exit(f"scale: {len(digests)} digests of the same plan: {digests}")
    # Least squares of seconds = fixed * shards + work, over the four.
    points = [(line["shards"], line["seconds"]) for line in rows if "shards" in line]
    mean_n, mean_s = (sum(column) / len(points) for column in zip(*points))
    slope = sum((n - mean_n) * (s - mean_s) for n, s in points) / sum((n - mean_n) ** 2 for n, _ in points)
    rows.append({"case": "one more shard", "seconds": slope, "note": "slope over the four; digits equal in all"})
    return rows


def overhead(binary: Path, folder: Path, n_blocks: int) -> list[dict]:
    """Share of encoding, hashing, writing and syncing in `generate` of Table 1 at mini."""
    command = ("generate", TABLE1, "--scale", "mini", "--work-dir", folder / "mini", "--limit", n_blocks, "--quiet")
    ended = expect(run(binary, *command), 4)
    answer = ended.answer
    share = answer["publish_seconds"] / (answer["wall_seconds"] * answer["n_networks"])
    line = row(f"generate, mini, {answer['n_images']} images", ended)
    return [
        line,
        {
            "case": "of which encoding, hashing, writing, fsync",
            "seconds": answer["publish_seconds"] / answer["n_networks"],
            "target": "<= 1 %",
            "hit": share <= 0.01,
            "note": f"{100 * share:.3f} % of the wall time",
        },
    ]


def row(case: str, ended: Ended, target: str = "", hit: bool | None = None) -> dict:
    """A line of the table."""
    line = {
        "case": case,
        "seconds": ended.seconds,
        "processor_seconds": ended.processor_seconds,
        "peak_mib": ended.peak_mib,
    }
    return line | ({"target": target, "hit": hit} if target else {})


def processor() -> str:
    """Name of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def table(result: dict) -> str:
    """The result for people."""
    context = result["context"]
    lines = [
        "# What the harness costs by itself",
        "",
        f"{context['processor']}, {context['cores']} cores, load {context['load_before']} before the run; "
        f"{context['file_system']}; revision {context['revision']}.",
        "Whole processes as their parent sees them: `scripts/bench/scale.py`. The shards run one after another on the "
        "model with a closed form, whose answers cost next to nothing; all of them gave the same digits.",
        "",
        "| case | s | CPU s | peak MiB | target | |",
        "|---|---:|---:|---:|---|---|",
    ]
    for line in result["rows"]:
        cell = lambda key, digits: f"{line[key]:.{digits}f}" if key in line else ""
        word = {True: "hit", False: "**miss**"}.get(line.get("hit"), "")
        note = "; ".join(part for part in (word, line.get("note", "")) if part)
        cells = [line["case"], cell("seconds", 3), cell("processor_seconds", 2), cell("peak_mib", 0)]
        lines.append("| " + " | ".join([*cells, line.get("target", ""), note]) + " |")
    lines += [
        "",
        "On paper: a shard pays once for its start, its plan (the hash of the reference) and the opening of its networks. "
        "It looks at its own blocks and no others, and the evaluation at all of them, whoever made them. So n shards cost "
        "n times that on top of the images, and nothing else grows with n.",
    ]
    return "\n".join(lines) + "\n"


def context(folder: Path) -> dict:
    """What a reader of the times must know."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=7"]
    revision = subprocess.run(git, capture_output=True, text=True).stdout.strip() or "unknown"
    system = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True).stdout.strip()
    load = round(os.getloadavg()[0], 2)
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_before": load,
        "file_system": f"work folders on {system or 'an unknown file system'}",
        "revision": revision,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, required=True, help="dubench")
    parser.add_argument("--images", type=int, default=20_000, help="images of the runs in shards, a multiple of 1,000")
    parser.add_argument("--blocks", type=int, default=4, help="blocks of 64 images of `generate`")
    parser.add_argument("--quick", action="store_true", help="leave `generate` of Table 1 out")
    parser.add_argument("--folder", type=Path, help="where work folders are made: on the file system to be measured")
    parser.add_argument("--out", type=Path, help="folder for table.json and table.md")
    arguments = parser.parse_args()
    if arguments.images < 1000 or arguments.images % 1000:
        parser.error(f"--images {arguments.images} is no multiple of 1,000")
    binary = arguments.binary.resolve()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        result = {"context": context(folder), "rows": []}
        result["rows"] += status(binary, folder) + planning(binary, folder) + shards(binary, folder, arguments.images)
        if not arguments.quick:
            result["rows"] += overhead(binary, folder, arguments.blocks)
    print(table(result), end="")
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "table.json").write_text(json.dumps(result, indent=1) + "\n")
        (arguments.out / "table.md").write_text(table(result))


if __name__ == "__main__":
    main()
