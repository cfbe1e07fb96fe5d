"""Images in Parquet as data sets on Hugging Face have them, and the levels that Pillow reads from each.

    pip install numpy==2.4.6 pillow==13.0.0 pyarrow==26.0.1
    python scripts/golden/pictures.py harness/tests/data/pictures

`table/` is the set in two files of two row groups each: a column `image` of `{bytes, path}`, a column `label`, and one that is
neither. The other tables are what cannot be read.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

LABELS = [7, 0, 999, 3, 3, 12, 1, 0, 500, 2, 41]
RECORD = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def picture(index: int) -> Image.Image:
    y, x, c = np.mgrid[0:6, 0:9, 0:3]
    return Image.fromarray(((x * 27 + y * 31 + c * 70 + index * 11) % 256).astype("u1"))


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def records(indices: range) -> pa.Array:
    rows = [{"bytes": png(picture(index)), "path": f"{index}.png"} for index in indices]
    return pa.array(rows, RECORD)


def table(indices: range) -> pa.Table:
    labels = [LABELS[index] for index in indices]
    return pa.table({"id": pa.array(list(indices)), "image": records(indices), "label": pa.array(labels, pa.int64())})


def main() -> None:
    out = Path(sys.argv[1])
    (out / "table").mkdir(parents=True, exist_ok=True)
    (out / "table/README.md").write_text("A data card, as there is one beside the tables of a data set.\n")
    for shard, indices in enumerate((range(7), range(7, 11))):
        name = f"train-{shard:05}-of-00002.parquet"
        pq.write_table(table(indices), out / "table" / name, row_group_size=3, compression="snappy")
    levels = np.stack([np.asarray(Image.open(io.BytesIO(png(picture(index)))).convert("RGB")) for index in range(11)])
    np.savez_compressed(out / "levels.npz", levels=levels, labels=np.array(LABELS))
    plain = [png(picture(index)) for index in range(2)]
    others = {
        "plain_bytes": {"img": pa.array(plain, pa.large_binary())},
        "no_image": {"text": ["a", "b"], "label": [0, 1]},
        "two_columns": {"left": pa.array(plain), "right": pa.array(plain)},
        "paths": {"image": pa.array([{"bytes": None, "path": "a.png"}], RECORD)},
        "no_class": {"image": records(range(2)), "label": pa.array([3, -1], pa.int64())},
        "null_class": {"image": records(range(2)), "label": pa.array([3, None], pa.int64())},
        "truncated": {"image": pa.array([{"bytes": plain[0], "path": None}, {"bytes": plain[1][:60], "path": None}], RECORD)},
    }
    for name, columns in others.items():
        pq.write_table(pa.table(columns), out / f"{name}.parquet")
    pq.write_table(pa.table({"image": records(range(2))}), out / "zstd.parquet", compression="zstd")


main()
