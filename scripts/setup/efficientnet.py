"""EfficientNet-Lite0 as ONNX: from the tensors of its checkpoint to one file, without torch.

The network of Tan and Le (2019) without squeeze-and-excitation and with ReLU6, trained on ImageNet. Input `images`, f32
[batch, 3, 224, 224], already resized and scaled to [-1, 1]; output `pool`, f32 [batch, 1280]: the mean over the last grid,
in front of the classifier, which is left out.

Padding is TensorFlow's SAME: of an odd number of pixels, the larger half stands behind. Batch normalisation (eps 1e-3) is
folded into the convolutions in f64. Every byte of the file follows from the weights alone, so its SHA-256 can be pinned.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper

from .errors import integrity

IMAGE_SIZE = 224
N_FEATURES = 1280
_BN_EPSILON = 1e-3
_OPSET = 17
_IR_VERSION = 8
# Blocks, kernel, stride of the first block, channels in, factor of expansion, channels out.
_STAGES = (
    *((1, 3, 1, 32, 1, 16), (2, 3, 2, 16, 6, 24), (2, 5, 2, 24, 6, 40), (3, 3, 2, 40, 6, 80)),
    *((3, 5, 1, 80, 6, 112), (4, 5, 2, 112, 6, 192), (1, 3, 1, 192, 6, 320)),
)
# What a checkpoint holds that features do not need: the classifier, and how many batches training saw.
_UNUSED = ("_fc.weight", "_fc.bias", ".num_batches_tracked")
_REMEDY = "use the pinned package: run setup again"


class _Graph:
    """Grows the node list; every method returns the name of the tensor it made. Shapes are NCHW."""

    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        self.tensors = tensors
        self.nodes: list = []
        self.initializers: list = []
        self.used: set[str] = set()

    def conv(self, x: str, name: str, norm: str, side: int, stride: int = 1, groups: int = 1) -> str:
        """Convolution and batch normalisation: y = g (w * x - mean) / sqrt(var + eps) + beta."""
        weight = self._take(f"{name}.weight")
        gamma, beta, mean, var = (self._take(f"{norm}.{part}") for part in ("weight", "bias", "running_mean", "running_var"))
        scale = gamma / np.sqrt(var + _BN_EPSILON)
        self._initializer(f"{name}.weight", weight * scale[:, None, None, None])
        self._initializer(f"{name}.bias", beta - mean * scale)
        kernel = weight.shape[2]
        missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        before, behind = missing // 2, missing - missing // 2
        return self.node(
            "Conv", [x, f"{name}.weight", f"{name}.bias"], f"{name}.out",
            kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[before, before, behind, behind], group=groups,
        )  # fmt: skip

    def relu6(self, x: str) -> str:
        """min(max(x, 0), 6)."""
        return self.node("Clip", [x, "zero", "six"], f"{x}.relu6")

    def node(self, operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        """Adds a node of one output, which is called as its output."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: float) -> None:
        """A number of the graph's own."""
        self.initializers.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))

    def _take(self, name: str) -> np.ndarray:
        self.used.add(name)
        return self.tensors[name].astype(np.float64)

    def _initializer(self, name: str, values: np.ndarray) -> None:
        data = np.ascontiguousarray(values.astype("<f4")).tobytes()
        self.initializers.append(helper.make_tensor(name, TensorProto.FLOAT, values.shape, data, raw=True))


def _block(g: _Graph, x: str, index: int, shape: tuple[int, int, int, int, int, int]) -> str:
    """Widen by 1x1, convolve channel by channel, narrow by 1x1; add the input where it has the output's shape."""
    side, kernel, stride, n_in, factor, n_out = shape
    name, wide = f"_blocks.{index}", n_in * factor
    y = x
    if factor > 1:
        y = g.relu6(g.conv(y, f"{name}._expand_conv", f"{name}._bn0", side))
    y = g.relu6(g.conv(y, f"{name}._depthwise_conv", f"{name}._bn1", side, stride, groups=wide))
    if g.tensors[f"{name}._depthwise_conv.weight"].shape[2] != kernel:
        raise integrity(f"{name} has another kernel than {kernel}", _REMEDY)
    y = g.conv(y, f"{name}._project_conv", f"{name}._bn2", -(-side // stride))
    return g.node("Add", [y, x], f"{name}.sum") if stride == 1 and n_in == n_out else y


def _trunk(g: _Graph, x: str) -> str:
    x = g.relu6(g.conv(x, "_conv_stem", "_bn0", IMAGE_SIZE, stride=2))
    side, index = IMAGE_SIZE // 2, 0
    for n_blocks, kernel, first_stride, n_in, factor, n_out in _STAGES:
        for at in range(n_blocks):
            stride = first_stride if at == 0 else 1
            x = _block(g, x, index, (side, kernel, stride, n_in if at == 0 else n_out, factor, n_out))
            side, index = -(-side // stride), index + 1
    return g.relu6(g.conv(x, "_conv_head", "_bn1", side))


def build(tensors: Mapping[str, np.ndarray]) -> ModelProto:
    """The network over the checkpoint's tensors; refuses one with a tensor missing or left over."""
    graph = _Graph(tensors)
    graph.constant("zero", 0.0)
    graph.constant("six", 6.0)
    try:
        graph.node("GlobalAveragePool", [_trunk(graph, "images")], "pool.mean")
    except KeyError as error:
        raise integrity(f"the checkpoint lacks {error}", _REMEDY) from None
    graph.node("Flatten", ["pool.mean"], "pool", axis=1)
    left = sorted(name for name in set(tensors) - graph.used if not name.endswith(_UNUSED))
    if left:
        raise integrity(f"the checkpoint has {len(left)} tensors that the network does not use, {left[0]} first", _REMEDY)
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, IMAGE_SIZE, IMAGE_SIZE])
    pool = helper.make_tensor_value_info("pool", TensorProto.FLOAT, ["batch", N_FEATURES])
    body = helper.make_graph(graph.nodes, "efficientnet_lite0_pool", [images], [pool], graph.initializers)
    opset = helper.make_opsetid("", _OPSET)
    return helper.make_model(body, producer_name="dubench", ir_version=_IR_VERSION, opset_imports=[opset])


def write(checkpoint: Path, target: Path) -> None:
    """Writes the network of a checkpoint to `target`; the same weights give the same bytes on every machine."""
    # The reader of checkpoints runs no code of a pickle; it is the importer's, whose modules the set-up else does without.
    from importer.checkpoint import open_checkpoint

    tensors = {name: tensor.read() for name, tensor in open_checkpoint(checkpoint).tensors.items()}
    target.write_bytes(build(tensors).SerializeToString(deterministic=True))
