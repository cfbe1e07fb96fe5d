"""Files as people have them, with what is right for each, from NumPy and Pillow.

    pip install numpy==2.4.6 pillow==13.0.0 pyarrow==26.0.1
    python scripts/golden/files.py harness/tests/data/files

`arrays/` holds features and statistics in every form that tools write, `tables/` tables that are no features, and `right.json` the Frechet distance of each
to `a.npy` from its definition. `images/` holds one picture in every format and colour mode, and `pixels.npz` the levels
that `Image.open(..).convert("RGB")` gives for each file. The distances and levels do not depend on the machine; the
bytes of the image files depend on the version of Pillow.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import PIL
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SEED = 20261128


def root(matrix: np.ndarray) -> np.ndarray:
    """Square root of a covariance."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance, divisor n - 1, in f64."""
    rows = np.asarray(rows, "f8")
    return rows.mean(0), np.cov(rows, rowvar=False)


def distance(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float:
    """|mu_a - mu_b|^2 + tr S_a + tr S_b - 2 tr (S_a S_b)^(1/2)."""
    half = root(a[1])
    values = np.linalg.eigvalsh(half @ b[1] @ half)
    traces = np.trace(a[1]) + np.trace(b[1])
    return float(((a[0] - b[0]) ** 2).sum() + traces - 2 * np.sqrt(np.clip(values, 0, None)).sum())


def arrays(out: Path) -> dict:
    """Features and statistics; the distance of each to a.npy (of statistics: to stats_a.npz)."""
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    a, b = rng.normal(size=(60, 4)).astype("f4"), rng.normal(0.3, 1.2, size=(50, 4))
    right = {}
    np.save(out / "a.npy", a)
    rows = {
        "f16": b.astype("f2"),
        "f32": b.astype("f4"),
        "f64": b,
        "big_endian": b.astype(">f8"),
        "big_endian_f16": b.astype(">f2"),
        "fortran": np.asfortranarray(b),
        "i8": np.rint(b * 10).astype("i1"),
        "i16_big_endian": np.rint(b * 10).astype(">i2"),
        "i32": np.rint(b * 10).astype("i4"),
        "i64": np.rint(b * 10).astype("i8"),
        "u16": np.rint(b * 10 + 100).astype("u2"),
        "u32": np.rint(b * 10 + 100).astype("u4"),
        "unit_axes": b.astype("f4")[:, :, None, None],
        "copies": np.tile(b[0], (50, 1)),
    }
    for name, array in rows.items():
        np.save(out / f"{name}.npy", array)
        right[f"{name}.npy"] = distance(moments(a), moments(array.reshape(50, 4)))
    for key in ("feats", "features", "arr_0"):
        np.savez(out / f"{key}.npz", **{key: b.astype("f4")})
        right[f"{key}.npz"] = distance(moments(a), moments(b.astype("f4")))
    np.savez_compressed(out / "feats_f16_compressed.npz", feats=b.astype("f2"))
    right["feats_f16_compressed.npz"] = distance(moments(a), moments(b.astype("f2")))
    mu, sigma = moments(b)
    np.savez(out / "stats_a.npz", mu=moments(a)[0], sigma=moments(a)[1], n=60)
    statistics = {
        # pytorch-fid --save-stats
        "stats_compressed": (np.savez_compressed, {"mu": mu, "sigma": sigma}),
        "stats_n_i32": (np.savez, {"mu": mu, "sigma": sigma, "n": np.int32(50)}),
        "stats_n_float": (np.savez, {"mu": mu, "sigma": sigma, "n": 50.0}),
        "stats_n_list": (np.savez, {"mu": mu, "sigma": sigma, "n": [50]}),
        "stats_mu_row": (np.savez, {"mu": mu[None], "sigma": sigma, "n": 50}),
        "stats_big_endian": (np.savez, {"mu": mu.astype(">f8"), "sigma": sigma.astype(">f8")}),
        "stats_fortran": (np.savez, {"mu": mu, "sigma": np.asfortranarray(sigma), "n": np.uint64(50)}),
        "stats_with_rows": (np.savez, {"mu": mu, "sigma": sigma, "feats": b, "provenance": "mine"}),
    }
    for name, (save, content) in statistics.items():
        save(out / f"{name}.npz", **content)
        right[f"{name}.npz"] = distance(moments(a), (mu, sigma))
    return {"tools": {"numpy": np.__version__}, "fid": right}


def tables(out: Path, right: dict) -> None:
    """The features b as people keep them in Parquet, beside a.npy, and tables that hold none."""
    rng = np.random.default_rng(SEED)
    a, b = rng.normal(size=(60, 4)).astype("f4"), rng.normal(0.3, 1.2, size=(50, 4))
    single = b.astype("f4")
    ids = {"id": np.arange(50), "path": [f"{i}.png" for i in range(50)]}
    columns = lambda rows: {f"x{j}": np.ascontiguousarray(rows[:, j]) for j in range(4)}
    flat = lambda rows: pa.array(np.ascontiguousarray(rows).ravel())
    fixed = lambda rows: pa.FixedSizeListArray.from_arrays(flat(rows), 4)
    offsets = np.arange(0, 201, 4)
    forms = {
        "columns_f32": (ids | columns(single), single),
        "columns_f64": (columns(b), b),
        "columns_mixed": (columns(single) | {"x3": b[:, 3]}, np.hstack([single[:, :3].astype("f8"), b[:, 3:]])),
        "list_f32": (ids | {"embedding": pa.ListArray.from_arrays(offsets.astype("i4"), flat(single))}, single),
        "list_large_f64": ({"features": pa.LargeListArray.from_arrays(offsets, flat(b))}, b),
        "list_fixed_f16": ({"features": fixed(b.astype("f2"))}, b.astype("f2")),
    }
    for name, (table, rows) in forms.items():
        pq.write_table(pa.table(table), out / f"arrays/{name}.parquet", row_group_size=17)
        right["fid"][f"{name}.parquet"] = distance(moments(a), moments(rows))
    parts = out / "arrays/parts"
    (parts / "split=b").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns(single[:30])), parts / "part-0.parquet")
    pq.write_table(pa.table(columns(single[30:])), parts / "split=b/part-1.parquet", compression="none")
    (parts / "_SUCCESS").write_text("")
    right["fid"]["parts"] = distance(moments(a), moments(single))
    refused = {
        "integers": {"id": np.arange(9), "label": np.arange(9)},
        "nulls": {"x0": [1.0, None, 2.0]},
        "ragged": {"features": [[1.0, 2.0], [3.0]]},
        "two_lists": {"a": fixed(single), "b": fixed(single)},
        "list_and_columns": {"a": fixed(single), "score": b[:, 0]},
        "empty": {"x0": pa.array([], pa.float32())},
    }
    (out / "tables").mkdir(exist_ok=True)
    for name, table in refused.items():
        pq.write_table(pa.table(table), out / f"tables/{name}.parquet")
    pq.write_table(pa.table(columns(b)), out / "tables/zstd.parquet", compression="zstd")
    right["tools"]["pyarrow"] = pa.__version__


def picture(rng: np.random.Generator) -> Image.Image:
    """Shapes and noise, so that chroma and edges are no constants."""
    y, x = np.mgrid[0:37, 0:45]
    levels = np.stack([x * 5 % 256, y * 6 % 256, (x * y) % 256], -1)
    levels[8:20, 10:30] = [230, 20, 60]
    levels = levels + rng.integers(-20, 21, levels.shape)
    return Image.fromarray(np.clip(levels, 0, 255).astype("u1"))


def images(out: Path) -> None:
    """One picture in every format and mode, and the levels that Pillow reads."""
    out.mkdir(parents=True, exist_ok=True)
    rgb = picture(np.random.default_rng(SEED + 1))
    alpha = Image.fromarray((np.mgrid[0:37, 0:45][1] * 5).astype("u1"))
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    turned = Image.Exif()
    turned[0x0112] = 6
    small = rgb.resize((16, 16))
    files = {
        "rgb.png": (rgb, {}),
        "rgba.png": (rgba, {}),
        "grey.png": (rgb.convert("L"), {}),
        "grey_alpha.png": (rgba.convert("LA"), {}),
        "palette.png": (rgb.quantize(64), {}),
        "palette_transparent.png": (rgb.quantize(16), {"transparency": 3}),
        "one_bit.png": (rgb.convert("1"), {}),
        "grey_2bit.png": (rgb.convert("L").quantize(4).convert("L"), {"bits": 2}),
        "lzw.tif": (small, {"compression": "tiff_lzw"}),
        "deflate.tiff": (small, {"compression": "tiff_adobe_deflate"}),
        "plain.tif": (small, {}),
        "grey.tif": (small.convert("L"), {}),
        "packbits.tif": (small, {"compression": "packbits"}),
        "rgb.bmp": (small, {}),
        "palette.bmp": (small.quantize(16), {}),
        "grey.bmp": (small.convert("L"), {}),
        "lossless.webp": (rgb, {"lossless": True}),
        "lossless_alpha.webp": (rgba, {"lossless": True, "exact": True}),
        "lossy_80.webp": (rgb, {"quality": 80}),
        "turned.jpg": (rgb, {"quality": 95, "subsampling": 0, "exif": turned}),
        "liar.png": (rgb, {"format": "JPEG", "quality": 95, "subsampling": 0}),
        "grey.JPG": (rgb.convert("L"), {"quality": 90}),
        "444_q100.jpeg": (rgb, {"quality": 100, "subsampling": 0}),
        "444_q75.jpeg": (rgb, {"quality": 75, "subsampling": 0}),
        "422_q90.jpeg": (rgb, {"quality": 90, "subsampling": 1}),
        "420_q95.jpeg": (rgb, {"quality": 95, "subsampling": 2}),
        "420_q50.jpeg": (rgb, {"quality": 50, "subsampling": 2}),
        "progressive_q80.jpeg": (rgb, {"quality": 80, "subsampling": 0, "progressive": True}),
    }
    pixels = {}
    for name, (image, options) in files.items():
        image.save(out / name, **options)
        with Image.open(out / name) as opened:
            pixels[name] = np.asarray(opened.convert("RGB"))
    np.savez_compressed(out.parent / "pixels.npz", **pixels)
    refused = out.parent / "refused"
    refused.mkdir(exist_ok=True)
    Image.fromarray(np.arange(64, dtype="u2").reshape(8, 8) * 900).save(refused / "grey_16.png")
    small.convert("CMYK").save(refused / "cmyk.jpg")
    Image.fromarray(np.ones((8, 8), "f4")).save(refused / "float.tif")
    small.save(refused / "animation.gif")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    right = arrays(out / "arrays")
    tables(out, right)
    images(out / "images")
    right["tools"]["pillow"] = PIL.__version__
    (out / "right.json").write_text(json.dumps(right, indent=1) + "\n")


if __name__ == "__main__":
    main()
