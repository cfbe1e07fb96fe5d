"""The FID Inception-v3 as ONNX: from the tensors of its TorchScript archive to one file, without torch.

The network of 2015-12-05 whose 2048 `pool3` features the Frechet Inception distance is defined on. It differs from the
usual Inception-v3 in two places: 3x3 average pools leave the padding out of the mean, and the last block pools by the
maximum. Input `images`, f32 [batch, 3, 299, 299], already resized and scaled; output `pool3`, f32 [batch, 2048].

Batch normalisation (no gamma, eps 1e-3) is folded into the convolutions in f64. Every byte of the file follows from
the weights alone, so its SHA-256 can be pinned.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper

from .errors import integrity

IMAGE_SIZE = 299
N_FEATURES = 2048
_BN_EPSILON = 1e-3
_OPSET = 17
_IR_VERSION = 8
_PREFIX = "net.layers."


class _Graph:
    """Grows the node list; every method returns the name of the tensor it made. Shapes are NCHW."""

    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        self.tensors = tensors
        self.nodes: list = []
        self.initializers: list = []

    def conv(self, x: str, name: str, stride: int = 1, padding: tuple[int, int] = (0, 0)) -> str:
        """Convolution, batch normalisation and ReLU: y = max(0, (w * x - mean) / sqrt(var + eps) + beta)."""
        weight, beta, mean, var = (
            self.tensors[f"{_PREFIX}{name}.{part}"].astype(np.float64) for part in ("weight", "beta", "mean", "var")
        )
        scale = 1.0 / np.sqrt(var + _BN_EPSILON)
        self._initializer(f"{name}.weight", weight * scale[:, None, None, None])
        self._initializer(f"{name}.bias", beta - mean * scale)
        height, width = padding
        self._node(
            "Conv", [x, f"{name}.weight", f"{name}.bias"], f"{name}.conv",
            kernel_shape=list(weight.shape[2:]), strides=[stride, stride], pads=[height, width, height, width],
        )  # fmt: skip
        return self._node("Relu", [f"{name}.conv"], f"{name}.relu")

    def max_pool(self, x: str, name: str, stride: int, padding: int) -> str:
        """3x3 maximum."""
        return self._node("MaxPool", [x], name, kernel_shape=[3, 3], strides=[stride] * 2, pads=[padding] * 4)

    def average_pool(self, x: str, name: str) -> str:
        """3x3 mean over the pixels that exist: the padding does not count."""
        return self._node(
            "AveragePool", [x], name, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1], count_include_pad=0
        )

    def concat(self, parts: list[str], name: str) -> str:
        """Joins along the channels."""
        return self._node("Concat", parts, name, axis=1)

    def pool3(self, x: str) -> str:
        """Mean over the last 8x8 grid, [batch, 2048, 8, 8] -> [batch, 2048]."""
        self._node("GlobalAveragePool", [x], "pool3.mean")
        return self._node("Flatten", ["pool3.mean"], "pool3", axis=1)

    def _initializer(self, name: str, values: np.ndarray) -> None:
        data = np.ascontiguousarray(values.astype("<f4")).tobytes()
        self.initializers.append(helper.make_tensor(name, TensorProto.FLOAT, values.shape, data, raw=True))

    def _node(self, operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output


def _pool_branch(g: _Graph, x: str, block: str) -> str:
    return g.conv(g.average_pool(x, f"{block}.tower_2.pool"), f"{block}.tower_2.conv")


def _block_a(g: _Graph, x: str, block: str) -> str:
    """35x35: 1x1, 5x5, double 3x3 and pooled branches."""
    five = g.conv(g.conv(x, f"{block}.tower.conv"), f"{block}.tower.conv_1", padding=(2, 2))
    three = g.conv(x, f"{block}.tower_1.conv")
    three = g.conv(three, f"{block}.tower_1.conv_1", padding=(1, 1))
    three = g.conv(three, f"{block}.tower_1.conv_2", padding=(1, 1))
    return g.concat([g.conv(x, f"{block}.conv"), five, three, _pool_branch(g, x, block)], f"{block}.concat")


def _block_b(g: _Graph, x: str, block: str) -> str:
    """35x35 -> 17x17."""
    tower = g.conv(g.conv(x, f"{block}.tower.conv"), f"{block}.tower.conv_1", padding=(1, 1))
    tower = g.conv(tower, f"{block}.tower.conv_2", stride=2)
    pool = g.max_pool(x, f"{block}.pool", stride=2, padding=0)
    return g.concat([g.conv(x, f"{block}.conv", stride=2), tower, pool], f"{block}.concat")


def _block_c(g: _Graph, x: str, block: str) -> str:
    """17x17: factorised 7x7 branches."""
    wide, tall = (0, 3), (3, 0)
    short = g.conv(x, f"{block}.tower.conv")
    for index, padding in enumerate((wide, tall), start=1):
        short = g.conv(short, f"{block}.tower.conv_{index}", padding=padding)
    long = g.conv(x, f"{block}.tower_1.conv")
    for index, padding in enumerate((tall, wide, tall, wide), start=1):
        long = g.conv(long, f"{block}.tower_1.conv_{index}", padding=padding)
    return g.concat([g.conv(x, f"{block}.conv"), short, long, _pool_branch(g, x, block)], f"{block}.concat")


def _block_d(g: _Graph, x: str, block: str) -> str:
    """17x17 -> 8x8."""
    short = g.conv(g.conv(x, f"{block}.tower.conv"), f"{block}.tower.conv_1", stride=2)
    long = g.conv(x, f"{block}.tower_1.conv")
    long = g.conv(long, f"{block}.tower_1.conv_1", padding=(0, 3))
    long = g.conv(long, f"{block}.tower_1.conv_2", padding=(3, 0))
    long = g.conv(long, f"{block}.tower_1.conv_3", stride=2)
    return g.concat([short, long, g.max_pool(x, f"{block}.pool", stride=2, padding=0)], f"{block}.concat")


def _block_e(g: _Graph, x: str, block: str, pooled: str) -> str:
    """8x8: branches that fork into 1x3 and 3x1; `pooled` is x after this block's own pooling rule."""
    a = g.conv(x, f"{block}.tower_conv")
    b = g.conv(g.conv(x, f"{block}.tower_1_conv"), f"{block}.tower_1_conv_1", padding=(1, 1))
    parts = [g.conv(x, f"{block}.conv")]
    for tower, stem in (("tower", a), ("tower_1", b)):
        parts.append(g.conv(stem, f"{block}.{tower}_mixed_conv", padding=(0, 1)))
        parts.append(g.conv(stem, f"{block}.{tower}_mixed_conv_1", padding=(1, 0)))
    return g.concat([*parts, g.conv(pooled, f"{block}.tower_2_conv")], f"{block}.concat")


def _trunk(g: _Graph, x: str) -> str:
    x = g.conv(x, "conv", stride=2)
    x = g.conv(g.conv(x, "conv_1"), "conv_2", padding=(1, 1))
    x = g.max_pool(x, "pool0", stride=2, padding=0)
    x = g.max_pool(g.conv(g.conv(x, "conv_3"), "conv_4"), "pool1", stride=2, padding=0)
    for block in ("mixed", "mixed_1", "mixed_2"):
        x = _block_a(g, x, block)
    x = _block_b(g, x, "mixed_3")
    for block in ("mixed_4", "mixed_5", "mixed_6", "mixed_7"):
        x = _block_c(g, x, block)
    x = _block_d(g, x, "mixed_8")
    x = _block_e(g, x, "mixed_9", g.average_pool(x, "mixed_9.pool"))
    return _block_e(g, x, "mixed_10", g.max_pool(x, "mixed_10.pool", stride=1, padding=1))


def build(tensors: Mapping[str, np.ndarray]) -> ModelProto:
    """The network over the archive's tensors; refuses an archive with a tensor missing or left over."""
    graph = _Graph(tensors)
    try:
        graph.pool3(_trunk(graph, "images"))
    except KeyError as error:
        raise integrity(f"the weight file lacks {error}", "use the pinned archive: run setup again") from None
    n_used = 2 * len(graph.initializers)
    if n_used != len(tensors):
        raise integrity(
            f"the weight file has {len(tensors)} tensors, the network uses {n_used}", "use the pinned archive"
        )
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, IMAGE_SIZE, IMAGE_SIZE])
    pool3 = helper.make_tensor_value_info("pool3", TensorProto.FLOAT, ["batch", N_FEATURES])
    body = helper.make_graph(graph.nodes, "fid_inception_pool3", [images], [pool3], graph.initializers)
    opset = helper.make_opsetid("", _OPSET)
    return helper.make_model(body, producer_name="dubench", ir_version=_IR_VERSION, opset_imports=[opset])


def write(tensors: Mapping[str, np.ndarray], target: Path) -> None:
    """Writes the network to `target`; the same tensors give the same bytes on every machine."""
    target.write_bytes(build(tensors).SerializeToString(deterministic=True))
