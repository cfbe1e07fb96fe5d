"""Weights that are stored in float16: the graphs compute, bit for bit, what the float32 network of the rounded weights does.

run:  scripts/importer/tests/run.sh discover -s scripts/export -t scripts/export
"""

import json
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.insert(0, str(Path(__file__).resolve().parent))
import export
import layers
import onnx
from weights import STORED_FROM, WeightsError, in_half, read_header


def safetensors(arrays: dict[str, np.ndarray]) -> bytes:
    """A file of float32 tensors, written by hand."""
    header: dict[str, object] = {"__metadata__": {"config": "{}"}}
    place, parts = 0, []
    for name, values in arrays.items():
        parts.append(values.astype("<f4").tobytes())
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [place, place + len(parts[-1])]}
        place += len(parts[-1])
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def arrays() -> dict[str, np.ndarray]:
    """A convolution whose weights need more digits than float16 has, and a linear layer that is read twice."""
    random = np.random.default_rng(5)
    shapes = {"first.weight": (4, 3, 3, 3), "first.bias": (4,), "second.weight": (4, 4), "second.bias": (4,)}
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


class HalfTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def file(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def run_graph(self, weights: Path) -> np.ndarray:
        """`second(second(mean(first(x))))`."""
        g = layers.Graph(read_header(weights), train=False, real_time=False)
        h = layers.conv(g, layers.Value("x", (3, 8, 8)), "first")
        pooled = layers.Value(g.node("GlobalAveragePool", [h.name], "pooled"), (4, 1, 1))
        once = layers.linear(g, pooled, "second")
        weight, bias = g.weight("second.weight", (4, 4, 1, 1)), g.weight("second.bias")
        out = g.node("Conv", [once.name, weight, bias], "y", kernel_shape=[1, 1])
        shapes = {"x": (3, 8, 8), out: (4, 1, 1)}
        ports = [onnx.helper.make_tensor_value_info(name, 1, ["n", *shape]) for name, shape in shapes.items()]
        body = onnx.helper.make_graph(g.nodes, "half", ports[:1], ports[1:], list(g.initializers.values()))
        model = onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", layers.OPSET)], ir_version=8)
        path = weights.with_suffix(".onnx")
        onnx.save(model, str(path))
        onnx.checker.check_model(str(path), full_check=True)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        x = np.random.default_rng(6).standard_normal((2, 3, 8, 8)).astype(np.float32)
        return session.run([out], {"x": x})[0]

    def test_half_weights_compute_as_rounded_float32_ones(self) -> None:
        full = self.file("full.safetensors", safetensors(arrays()))
        half = self.file("half.safetensors", in_half(read_header(full)))
        rounded = {name: values.astype(np.float16).astype(np.float32) for name, values in arrays().items()}
        twin = self.file("twin.safetensors", safetensors(rounded))
        found, expected = self.run_graph(half), self.run_graph(twin)
        self.assertEqual(found.tobytes(), expected.tobytes())
        self.assertNotEqual(found.tobytes(), self.run_graph(full).tobytes())
        self.assertLess(sum(t.length for t in read_header(half).tensors.values()), 0.51 * 4 * 144)
        for name, values in rounded.items():
            np.testing.assert_array_equal(read_header(half).array(name), values)
        self.assertEqual(len(read_header(half).metadata[STORED_FROM]), 64)

    def test_what_cannot_be_rounded_is_refused(self) -> None:
        for value in (70000.0, float("inf"), float("nan")):
            wrong = arrays()
            wrong["first.bias"][1] = value
            with self.assertRaisesRegex(WeightsError, "first.bias holds .*float16 ends at 65504"):
                in_half(read_header(self.file("wrong.safetensors", safetensors(wrong))))
        half = self.file("half.safetensors", in_half(read_header(self.file("full.safetensors", safetensors(arrays())))))
        with self.assertRaisesRegex(WeightsError, "F16 already"):
            in_half(read_header(half))

    def test_float32_weights_are_not_overwritten_by_their_rounding(self) -> None:
        weights = self.file(export.WEIGHTS, safetensors(arrays()))
        with self.assertRaisesRegex(WeightsError, "would be lost"):
            export.put_weights(self.folder, weights, half=True)
        self.assertEqual(weights.read_bytes(), safetensors(arrays()))


if __name__ == "__main__":
    unittest.main()
