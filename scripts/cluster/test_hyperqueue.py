"""Shares of an experiment as tasks of a real HyperQueue server and worker: the digits of one process?

    scripts/cluster/test_hyperqueue.py DUBENCH

Uses the local cluster of the package `hyperqueue` (0.27.0 on PyPI), which has the server and the worker but no command
`hq`: what is tested is what its tasks get, by which `dubench` finds its share. Prints SKIPPED with the reason where the
package is missing. The command line of hyperqueue.sh is tested by `cli::engines`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "bench"))
from scale import fake  # noqa: E402

SHARDS = 4


def digest(dubench: Path, experiment: Path, work: str) -> str:
    """Digest of the numbers in a work folder, made where they are not there."""
    folder = experiment.parent
    command = [dubench, "run", experiment, "--work-dir", folder / work, "--results-dir", folder / f"results-{work}"]
    done = subprocess.run([*command, "--quiet", "--format", "json"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"test_hyperqueue: dubench run ended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)["metrics_sha256"]


def main() -> None:
    """Command line."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    dubench = Path(sys.argv[1]).resolve()
    try:
        from hyperqueue import Job, LocalCluster
        from hyperqueue.cluster import WorkerConfig
    except ImportError as error:
        print(f"SKIPPED test_hyperqueue: {error}; python -m pip install hyperqueue==0.27.0")
        return
    with tempfile.TemporaryDirectory() as name:
        experiment = fake(Path(name) / "experiment", 48, 8)
        work = experiment.parent / "work"
        start = time.perf_counter()
        with LocalCluster() as cluster:
            cluster.start_worker(WorkerConfig(cores=2))
            client = cluster.client()
            job = Job(default_workdir=experiment.parent, max_fails=SHARDS)
            for _ in range(SHARDS):
                job.program(
                    [str(dubench), "run", str(experiment), "--work-dir", str(work), "--quiet", "--threads", "1"],
                    env={"DUBENCH_SHARDS": str(SHARDS)},
                )
            client.wait_for_jobs([client.submit(job)])
        seconds = time.perf_counter() - start
        parts = sorted((work / "parts" / "generate").glob("*/block-*.parquet"))
        if len(parts) != 6:
            sys.exit(f"test_hyperqueue: the tasks made {len(parts)} of 6 blocks: did each find its share?")
        together, alone = digest(dubench, experiment, "work"), digest(dubench, experiment, "alone")
        if together != alone:
            sys.exit(f"test_hyperqueue: {SHARDS} tasks gave {together}, one process {alone}")
    print(f"test_hyperqueue: {SHARDS} tasks of a real server and worker in {seconds:.1f} s, the digits of one process")


if __name__ == "__main__":
    main()
