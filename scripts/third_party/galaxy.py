"""The score networks of the package `galaxygrad` as ONNX: an MLP-mixer over patches, trained on a variance-preserving process.

The process is `d x = -x / 2 dt + dw` on `t` in (0, 10], so `alpha_bar = exp(-t)`; the network gives the score of `x_t`. Images are
logarithms of fluxes, `log(1 + flux) / 0.1`, one channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .leaves import Leaves

OPSET, IR_VERSION = 17, 8
PATCH, HIDDEN, MIXED, BLOCKS, T_MAX = 4, 64, 512, 4, 10.0
# Largest value of a display: what the decoder makes white.
WHITE = 6.0


@dataclass
class _Graph:
    """Nodes and weights; every value is named by the node that makes it."""

    nodes: list[onnx.NodeProto]
    weights: dict[str, TensorProto]

    def weight(self, name: str, array: np.ndarray) -> str:
        self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def node(self, kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def norm(self, leaves: Leaves, x: str, name: str, shape: tuple[int, int]) -> str:
        """Over both axes behind the batch."""
        scale = self.weight(f"{name}.scale", leaves.take(f"{name}.weight", shape))
        shift = self.weight(f"{name}.shift", leaves.take(f"{name}.bias", shape))
        return self.node("LayerNormalization", [x, scale, shift], name, axis=1, epsilon=1e-5)

    def linear(self, weights: tuple[np.ndarray, np.ndarray], x: str, name: str) -> str:
        """Along the last axis."""
        matrix, bias = weights
        product = self.node("MatMul", [x, self.weight(f"{name}.matrix", matrix.T)], f"{name}.product")
        return self.node("Add", [product, self.weight(f"{name}.bias", bias)], name)


def _mlp(leaves: Leaves, name: str, width: int) -> list[tuple[np.ndarray, np.ndarray]]:
    shapes = ((MIXED, width), (width, MIXED))
    return [(leaves.take(f"{name}.{i}.weight", s), leaves.take(f"{name}.{i}.bias", s[:1])) for i, s in enumerate(shapes)]


def _block(g: _Graph, leaves: Leaves, x: str, name: str, n_patches: int) -> str:
    """Mixes patches, then channels. Leaves come as the fields are declared: both perceptrons, then both norms."""
    perceptrons = [_mlp(leaves, f"{name}.patches", n_patches), _mlp(leaves, f"{name}.channels", HIDDEN)]
    for axis, shape in (("patches", (HIDDEN, n_patches)), ("channels", (n_patches, HIDDEN))):
        place = f"{name}.{axis}"
        first, second = perceptrons.pop(0)
        y = g.norm(leaves, x, f"{place}.norm", shape)
        y = g.node("Relu", [g.linear(first, y, f"{place}.first")], f"{place}.relu")
        y = g.node("Add", [x, g.linear(second, y, f"{place}.second")], f"{place}.sum")
        x = g.node("Transpose", [y], f"{place}.turned", perm=[0, 2, 1])
    return x


def score(path: Path, side: int) -> onnx.ModelProto:
    """The score network of images of `side` pixels: inputs `sample` [n, 1, side, side] and `time` [n], output `score`.

    Raises `SetupError` (bad input) for leaves of another network.
    """
    leaves, g, grid = Leaves(path), _Graph([], {}), side // PATCH
    kernel = leaves.take("conv_in.weight", (HIDDEN, 2, PATCH, PATCH))
    bias = leaves.take("conv_in.bias", (HIDDEN, 1, 1)).reshape(HIDDEN)
    last = leaves.take("conv_out.weight", (1, HIDDEN, PATCH, PATCH))
    last_bias = leaves.take("conv_out.bias", (1, 1, 1)).reshape(1)
    patches = g.node(
        "Conv",
        ["sample", g.weight("in.kernel", kernel[:, :1]), g.weight("in.bias", bias)],
        "in",
        kernel_shape=[PATCH] * 2,
        strides=[PATCH] * 2,
    )
    # The second channel of the input is the time, t / 10 at every pixel: its kernel is a weight a channel.
    by_time = (kernel[:, 1].sum(axis=(1, 2), dtype=np.float64) / T_MAX).astype(np.float32)
    column = g.node("Reshape", ["time", g.weight("column", np.array([-1, 1, 1, 1], np.int64))], "time.column")
    told = g.node("Mul", [column, g.weight("in.time", by_time.reshape(1, HIDDEN, 1, 1))], "time.told")
    patches = g.node("Add", [patches, told], "in.sum")
    x = g.node("Reshape", [patches, g.weight("row", np.array([-1, HIDDEN, grid * grid], np.int64))], "in.row")
    for index in range(BLOCKS):
        x = _block(g, leaves, x, f"block.{index}", grid * grid)
    x = g.norm(leaves, x, "norm", (HIDDEN, grid * grid))
    leaves.take("t1", ())
    leaves.end()
    x = g.node("Reshape", [x, g.weight("plane", np.array([-1, HIDDEN, grid, grid], np.int64))], "plane.patches")
    # JAX correlates a stretched image with the kernel where ONNX spreads it: the kernel is turned about.
    spread = g.weight("out.kernel", last[:, :, ::-1, ::-1].transpose(1, 0, 2, 3))
    inputs = [x, spread, g.weight("out.bias", last_bias)]
    g.node("ConvTranspose", inputs, "score", kernel_shape=[PATCH] * 2, strides=[PATCH] * 2)
    shape = ["batch", 1, side, side]
    ports = [("sample", shape), ("time", ["batch"])]
    return _model("galaxy_score", g, ports, ("score", shape))


def display(side: int) -> onnx.ModelProto:
    """From a state to a picture of three equal channels in [-1, 1]: 0 is black, `WHITE` is white."""
    g = _Graph([], {})
    scaled = g.node("Mul", ["state", g.weight("gain", np.array(2 / WHITE, np.float32))], "scaled")
    shifted = g.node("Sub", [scaled, g.weight("one", np.array(1, np.float32))], "shifted")
    ends = [g.weight("low", np.array(-1, np.float32)), g.weight("high", np.array(1, np.float32))]
    grey = g.node("Clip", [shifted, *ends], "grey")
    g.node("Concat", [grey] * 3, "image", axis=1)
    return _model("galaxy_display", g, [("state", ["batch", 1, side, side])], ("image", ["batch", 3, side, side]))


def _model(
    name: str, g: _Graph, inputs: list[tuple[str, list[str | int]]], output: tuple[str, list[str | int]]
) -> onnx.ModelProto:
    def info(port: tuple[str, list[str | int]]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(port[0], TensorProto.FLOAT, port[1])

    body = helper.make_graph(g.nodes, name, [info(p) for p in inputs], [info(output)], list(g.weights.values()))
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(body, opset_imports=[opset], ir_version=IR_VERSION, producer_name="dubench")
    onnx.checker.check_model(model)
    return model
