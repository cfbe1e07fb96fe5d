"""Eight samples of the smoke run of Table 1 again, from docs/reimplement.md alone: nothing of the harness is used.

    scripts/just recompute                  # after scripts/just reproduce-table1 smoke
    python scripts/checks/recompute.py WORK_FOLDER RESULTS_FOLDER GENERATE_FOLDER FEATURES_FOLDER

The last two name the parts: the first eight digits of `generate_id` and `features_id`, as `dubench plan --print` tells them.
Images are held against the parts of the run (the rounding of another processor may move a level by one), scores
and the mean of the random subsets against its published tables.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pyarrow.parquet as pq
from onnx import TensorProto, helper

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "experiments/models/ddpm-cifar10-small"
REFERENCE = ROOT / "experiments/reference/cifar10-train.npz"
SEED, SAMPLES, STEPS, SHAPE = 0, 8, 50, (3, 32, 32)
INITIAL, PERTURB, DROPOUT = 1, 3, 4
SIZE, WORD = int(np.prod(SHAPE)), 2**32


def blocks(purpose: int, sample: int, step: int, draw: int, n: int) -> np.ndarray:
    """`n` blocks of four words: "Words of a draw"."""
    at = np.arange(n, dtype=np.uint64)
    fixed = [draw, sample % WORD, (step << 16 & 0xFFFFFFFF) | (sample >> 32 & 0xFFFF)]
    c = [np.uint64(purpose << 24) | (at & np.uint64(0xFFFFFF)), *(np.full(n, word, np.uint64) for word in fixed)]
    k = [np.full(n, SEED % WORD ^ (step & 0xFFFF0000) ^ sample >> 48, np.uint64), np.uint64(SEED >> 32) ^ at >> np.uint64(24)]
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    for _ in range(10):
        p, q = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [q >> half ^ c[1] ^ k[0], q & low, p >> half ^ c[3] ^ k[1], p & low]
        k = [k[0] + np.uint64(0x9E3779B9) & low, k[1] + np.uint64(0xBB67AE85) & low]
    return np.stack(c, 1)


def normals(purpose: int, sample: int, step: int = 0, draw: int = 0) -> np.ndarray:
    """One tensor of standard normals: "Normals"."""
    w = blocks(purpose, sample, step, draw, SIZE // 4).astype(np.float64)
    u_1, u_2 = (w[:, [0, 2]] + 1) / WORD, w[:, [1, 3]] / WORD
    radius = np.sqrt(-2 * np.log(u_1))
    pairs = np.stack([radius * np.cos(2 * np.pi * u_2), radius * np.sin(2 * np.pi * u_2)], 2)
    return pairs.astype(np.float32).reshape(SHAPE)


def mask(sample: int, step: int, draw: int, n: int, keep: float) -> np.ndarray:
    """`n` mask elements: "Dropout masks"."""
    w = blocks(DROPOUT, sample, step, draw, -(-n // 8))
    halves = np.stack([w & np.uint64(0xFFFF), w >> np.uint64(16)], 2).reshape(-1)[:n]
    return (halves < round(65536 * keep)).astype(np.float32)


def masked_graph(path: Path) -> tuple[bytes, list[tuple[int, ...]]]:
    """The train graph with each Dropout as a product with an input `maskI`, and the shapes of these: "Dropout masks"."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    known = {value.name: value.type.tensor_type.shape.dim for value in model.graph.value_info}
    shapes: list[tuple[int, ...]] = []
    for node in (node for node in model.graph.node if node.op_type == "Dropout"):
        name, shape = f"mask{len(shapes)}", tuple(axis.dim_value for axis in known[node.input[0]][1:])
        model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]))
        node.CopyFrom(helper.make_node("Mul", [node.input[0], name], [node.output[0]]))
        shapes.append(shape)
    return model.SerializeToString(), shapes


def subset(index: int, n: int, keep: int) -> list[int]:
    """Members of random subset `index`: "Random subsets"."""
    state, full = 0, 2**64 - 1

    def word() -> int:
        nonlocal state
        state = state + 0x9E3779B97F4A7C15 & full
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & full
        z = (z ^ z >> 27) * 0x94D049BB133111EB & full
        return z ^ z >> 31

    state = SEED
    state = word() ^ index * 0xD1342543DE82EF95 & full
    state = word()
    order = list(range(n))
    for i in range(keep):
        drawn = word()
        while drawn >= full - full % (n - i):
            drawn = word()
        j = i + drawn % (n - i)
        order[i], order[j] = order[j], order[i]
    return sorted(order[:keep])


def schedule() -> tuple[list[int], np.ndarray]:
    """Training times of the steps, and alpha_bar at each and after the last: "Schedule and grid"."""
    alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    times = [(STEPS - 1 - i) * (1000 // STEPS) for i in range(STEPS)]
    return times, np.append(alpha_bar[times], 1.0)


def walk() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Images `[n, 3, 32, 32]`, and one score an image for each method: "One step of DDIM", "Scores"."""
    onnxruntime.set_default_logger_severity(3)
    graph, shapes = masked_graph(MODEL / "denoiser_train.onnx")
    both = [MODEL / "denoiser.onnx", graph]
    plain, train = (onnxruntime.InferenceSession(one, providers=["CPUExecutionProvider"]) for one in both)

    def epsilon(x: np.ndarray, t: int, masks: list[np.ndarray] | None = None) -> np.ndarray:
        feeds = {"sample": x, "timestep": np.full(len(x), t, np.float32)}
        feeds |= {f"mask{i}": array for i, array in enumerate(masks or [])}
        return (train if masks else plain).run(["eps"], feeds)[0].astype(np.float64)

    def variance(draws: list[np.ndarray]) -> np.ndarray:
        return np.var(draws, axis=0, ddof=1).astype(np.float32).astype(np.float64).sum(axis=(1, 2, 3))

    times, alpha_bars = schedule()
    x = np.stack([normals(INITIAL, sample) for sample in range(SAMPLES)])
    scores = {"sample_var": np.zeros(SAMPLES), "mc_dropout": np.zeros(SAMPLES)}
    for i, t in enumerate(times):
        a, s = np.sqrt(alpha_bars[i]), np.sqrt(1 - alpha_bars[i])
        e = epsilon(x, t)
        x0 = np.clip(((x - s * e) / a).astype(np.float32), -1, 1).astype(np.float64)
        if 45 <= i < 49:
            noise = [np.stack([normals(PERTURB, n, i, m) for n in range(SAMPLES)]) for m in range(5)]
            scores["sample_var"] += variance([epsilon((a * x0 + s * z).astype(np.float32), t) for z in noise])
        if 40 <= i < 50:
            scores["mc_dropout"] += variance([epsilon(x, t, masks(shapes, i, m)) for m in range(5)])
        x = (np.sqrt(alpha_bars[i + 1]) * x0 + np.sqrt(1 - alpha_bars[i + 1]) * e).astype(np.float32)
    return np.rint((np.clip(x.astype(np.float64), -1, 1) + 1) * 127.5).astype(np.uint8), scores


def masks(shapes: list[tuple[int, ...]], step: int, draw: int, p: float = 0.5) -> list[np.ndarray]:
    """One array a Dropout node, cut from the row of each sample, with the factor 1 / (1 - p)."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    rows = np.stack([mask(n, step, draw, sum(sizes), 1 - p) for n in range(SAMPLES)]) / np.float32(1 - p)
    parts = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
    return [part.reshape(SAMPLES, *shape) for part, shape in zip(parts, shapes)]


def random_row(features: Path, keep: int, n_random: int) -> float:
    """Mean FID of the random subsets: tr (S1 S2)^(1/2) is the sum of the roots of the eigenvalues of Y S2 Y^T."""
    parts = sorted(features.glob("block-*.parquet"))
    columns = [value for part in parts for value in pq.read_table(part)["feature"].to_pylist()]
    pool = np.array([np.frombuffer(value, "<f4") for value in columns], np.float64)
    with np.load(REFERENCE) as reference:
        mu, sigma = reference["mu"], covariance(reference)
    fids = []
    for index in range(n_random):
        rows = pool[subset(index, len(pool), keep)]
        y = (rows - rows.mean(0)) / np.sqrt(keep - 1)
        roots = np.sqrt(np.clip(np.linalg.eigvalsh(y @ sigma @ y.T), 0, None))
        fids.append(((rows.mean(0) - mu) ** 2).sum() + (y**2).sum() + np.trace(sigma) - 2 * roots.sum())
    return float(np.mean(fids))


def covariance(statistics: np.lib.npyio.NpzFile) -> np.ndarray:
    """sigma, which statistics may hold as its upper triangle or as correlations, row after row: "Files"."""
    if "sigma" in statistics:
        return statistics["sigma"]
    sigma = np.zeros((2 * [len(statistics["mu"])]))
    if "correlation_upper" in statistics:
        high, low = statistics["correlation_upper"]
        scale = np.sqrt(statistics["sigma_diagonal"])
        sigma[np.triu_indices(len(sigma), 1)] = (high.astype(np.int8).astype(np.int16) * 256 + low) / 32767
        return (sigma + sigma.T) * np.outer(scale, scale) + np.diag(statistics["sigma_diagonal"])
    sigma[np.triu_indices(len(sigma))] = statistics["sigma_upper"]
    return sigma + np.triu(sigma, 1).T


def main(work: Path, results: Path, generate: str, features: str) -> None:
    images, scores = walk()
    part = pq.read_table(work / "parts/generate" / generate / "block-000000.parquet")
    stored = np.array([np.frombuffer(value, np.uint8) for value in part["image"].to_pylist()[:SAMPLES]])
    apart = np.abs(images.reshape(SAMPLES, SIZE).astype(int) - stored)
    print(f"images: {np.count_nonzero(apart)} of {apart.size} levels differ, by {apart.max()} at most")
    good = apart.max() <= 1 and np.count_nonzero(apart) <= 8
    table = pq.read_table(results / "scores.parquet").slice(0, SAMPLES)
    good &= table["sample_id"].to_pylist() == list(range(SAMPLES))
    ours = {**scores, "random": np.array([random_row(work / "parts/features" / features, 40, 50)])}
    rows = pq.read_table(results / "metrics.parquet").to_pylist()
    random = [row["value"] for row in rows if (row["method"], row["metric"]) == ("random", "fid")]
    theirs = {name: table[name].to_numpy() for name in scores} | {"random": np.array(random)}
    for name, values in ours.items():
        worst = np.abs(values / theirs[name] - 1).max()
        print(f"{name}: relative difference {worst:.1e} at most")
        good &= worst < 1e-5
    sys.exit(None if good else "recompute: the page and the files do not agree")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:5])
