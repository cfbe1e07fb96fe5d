"""Layers of convolutional diffusion networks as ONNX nodes: numpy and onnx, no torch.

A `Graph` collects nodes and initializers; layer functions add to it and return the name of their output. Weights are
*not* copied: an initializer names its bytes inside `weights.safetensors` (ONNX external data), so that every graph of
a bundle shares one file. Weights in float16 are cast to float32 before anything reads them. Shapes are [n, c, h, w]
with static c, h, w and a free batch n.

Why are linear layers written as 1x1 convolutions? ONNX Runtime multiplies all rows of a batch in one matrix product
and may sum a row in another order when the batch is 1; a convolution treats every image alone, so that results do
not depend on the batch.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from weights import Tensor, Weights, WeightsError

OPSET = 17


@dataclass(frozen=True)
class Value:
    """Output of a layer: its name and its shape without the batch."""

    name: str
    shape: tuple[int, ...]


@dataclass
class Graph:
    """Nodes and initializers of a network under construction."""

    weights: Weights
    train: bool
    real_time: bool  # the timestep is f32 and may lie between two steps; else it is i64
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: dict[str, TensorProto] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def node(self, kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        """Add one node with one output, both called `name`."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add a small initializer, stored in the ONNX file itself."""
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(value, name)
        return name

    def shape(self, *sizes: int) -> str:
        """A constant target shape for Reshape."""
        return self.constant("shape_" + "_".join(str(s).replace("-", "m") for s in sizes), np.array(sizes, np.int64))

    def tensor(self, name: str, rank: int | None = None) -> Tensor:
        """Header entry of tensor `name`: WeightsError if it is missing or not of `rank` dimensions."""
        tensor = self.weights.tensors.get(name)
        if tensor is None:
            raise WeightsError(f"{self.weights.path}: no tensor {name}: the weights are of another architecture")
        if rank is not None and len(tensor.shape) != rank:
            raise WeightsError(f"{self.weights.path}: {name} is {list(tensor.shape)}, expected {rank} dimensions")
        return tensor

    def weight(self, name: str, shape: tuple[int, ...] | None = None) -> str:
        """Initializer for tensor `name` of the weights file, seen as `shape` (same bytes, for broadcasting)."""
        tensor = self.tensor(name)
        shape = shape or tensor.shape
        if math.prod(shape) != math.prod(tensor.shape):
            raise WeightsError(f"{self.weights.path}: {name} is {list(tensor.shape)}, expected {list(shape)}")
        if name not in self.used:
            self.store(tensor, shape)
        self.used.add(name)
        return name

    def store(self, tensor: Tensor, shape: tuple[int, ...]) -> None:
        """The initializer of `tensor`; of one in float16, `NAME.half` and a Cast that makes `NAME` of it."""
        half = tensor.dtype == "F16"
        stored, kind = (f"{tensor.name}.half", TensorProto.FLOAT16) if half else (tensor.name, TensorProto.FLOAT)
        proto = TensorProto(name=stored, data_type=kind, dims=shape)
        proto.data_location = TensorProto.EXTERNAL
        place = {"location": self.weights.path.name, "offset": tensor.offset, "length": tensor.length}
        for key, value in place.items():
            proto.external_data.add(key=key, value=str(value))
        self.initializers[stored] = proto
        if half:
            cast = helper.make_node("Cast", [stored], [tensor.name], name=f"{tensor.name}.cast", to=TensorProto.FLOAT)
            self.nodes.append(cast)


def conv(g: Graph, x: Value, name: str, *, stride: int = 1) -> Value:
    """k x k convolution with bias, padded by k // 2. Weight [c_out, c_in, k, k]."""
    n_out, n_in, kernel, _ = g.tensor(f"{name}.weight", rank=4).shape
    if n_in != x.shape[0]:
        raise WeightsError(f"{name}: weight takes {n_in} channels, got {x.shape[0]}")
    inputs = [x.name, g.weight(f"{name}.weight"), g.weight(f"{name}.bias")]
    pad = kernel // 2
    out = g.node("Conv", inputs, name, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)
    return Value(out, (n_out, x.shape[1] // stride, x.shape[2] // stride))


def linear(g: Graph, x: Value, name: str) -> Value:
    """Linear layer on [n, c_in, 1, 1]; weight [c_out, c_in], used as a 1x1 convolution."""
    n_out, n_in = g.tensor(f"{name}.weight", rank=2).shape
    inputs = [x.name, g.weight(f"{name}.weight", (n_out, n_in, 1, 1)), g.weight(f"{name}.bias")]
    return Value(g.node("Conv", inputs, name, kernel_shape=[1, 1]), (n_out, 1, 1))


def embedding(g: Graph, label: str, n_rows: int, name: str) -> Value:
    """Row of the table [n_rows, c] for each label [n], i64: [n, c, 1, 1]."""
    _, width = shape = g.tensor(f"{name}.weight", rank=2).shape
    if shape[0] != n_rows:
        raise WeightsError(f"{name}: the table has {shape[0]} rows, expected {n_rows}")
    row = g.node("Gather", [g.weight(f"{name}.weight"), label], f"{name}.row", axis=0)
    return reshape(g, Value(row, (width,)), f"{name}.column", (width, 1, 1))


def silu(g: Graph, x: Value, name: str) -> Value:
    """x * sigmoid(x)."""
    gate = g.node("Sigmoid", [x.name], f"{name}.sigmoid")
    return Value(g.node("Mul", [x.name, gate], f"{name}.silu"), x.shape)


def reshape(g: Graph, x: Value, name: str, shape: tuple[int, ...]) -> Value:
    """Reshape all but the batch."""
    return Value(g.node("Reshape", [x.name, g.shape(-1, *shape)], name), shape)


def group_norm(g: Graph, x: Value, name: str, n_groups: int, epsilon: float = 1e-5) -> Value:
    """GroupNorm by InstanceNormalization over [n, groups, c/groups*h*w], then scale and shift a channel."""
    channels = x.shape[0]
    grouped = reshape(g, x, f"{name}.group", (n_groups, math.prod(x.shape) // n_groups))
    one = g.constant(f"ones_{n_groups}", np.ones(n_groups, np.float32))
    zero = g.constant(f"zeros_{n_groups}", np.zeros(n_groups, np.float32))
    inputs = [grouped.name, one, zero]
    normal = Value(g.node("InstanceNormalization", inputs, f"{name}.normalize", epsilon=epsilon), grouped.shape)
    normal = reshape(g, normal, f"{name}.ungroup", x.shape)
    scaled = g.node("Mul", [normal.name, g.weight(f"{name}.weight", (channels, 1, 1))], f"{name}.scale")
    return Value(g.node("Add", [scaled, g.weight(f"{name}.bias", (channels, 1, 1))], f"{name}.shift"), x.shape)


def add(g: Graph, x: Value, y: Value, name: str) -> Value:
    """x + y; y may have height and width 1."""
    return Value(g.node("Add", [x.name, y.name], name), x.shape)


def dropout(g: Graph, x: Value, name: str, ratio: float) -> Value:
    """An active `Dropout` node in the train graph, nothing in the plain graph."""
    if not g.train:
        return x
    rate = g.constant(f"dropout_ratio_{ratio}", np.array(ratio, np.float32))
    active = g.constant("training_mode", np.array(True))
    return Value(g.node("Dropout", [x.name, rate, active], name), x.shape)


def concat(g: Graph, x: Value, y: Value, name: str) -> Value:
    """Concatenate channels."""
    return Value(g.node("Concat", [x.name, y.name], name, axis=1), (x.shape[0] + y.shape[0], *x.shape[1:]))


def upsample_nearest(g: Graph, x: Value, name: str) -> Value:
    """Nearest neighbour, x2."""
    scales = g.constant("scales_2", np.array([1, 1, 2, 2], np.float32))
    options = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    out = g.node("Resize", [x.name, "", scales], name, **options)
    return Value(out, (x.shape[0], 2 * x.shape[1], 2 * x.shape[2]))


def space_to_depth(g: Graph, x: Value, name: str) -> Value:
    """[c, 2h, 2w] -> [4c, h, w]; channel order c, row, column (torch's pixel_unshuffle)."""
    c, h, w = x.shape[0], x.shape[1] // 2, x.shape[2] // 2
    split = reshape(g, x, f"{name}.split", (c, h, 2, w, 2))
    moved = g.node("Transpose", [split.name], f"{name}.transpose", perm=[0, 1, 3, 5, 2, 4])
    return reshape(g, Value(moved, (c, 2, 2, h, w)), name, (4 * c, h, w))


def depth_to_space(g: Graph, x: Value, name: str) -> Value:
    """[4c, h, w] -> [c, 2h, 2w]: inverse of `space_to_depth`."""
    c, h, w = x.shape[0] // 4, x.shape[1], x.shape[2]
    split = reshape(g, x, f"{name}.split", (c, 2, 2, h, w))
    moved = g.node("Transpose", [split.name], f"{name}.transpose", perm=[0, 1, 4, 2, 5, 3])
    return reshape(g, Value(moved, (c, h, 2, w, 2)), name, (c, 2 * h, 2 * w))


def attention(g: Graph, x: Value, name: str, n_groups: int) -> Value:
    """Single-head self-attention over positions, with residual: x + out(softmax(q^T k / sqrt(c)) v)."""
    c, h, w = x.shape
    qkv = conv(g, group_norm(g, x, f"{name}.norm", n_groups), f"{name}.qkv")
    parts = reshape(g, qkv, f"{name}.parts", (3, c, h * w))
    q, k, v = (
        g.node("Gather", [parts.name, g.constant(f"index_{i}", np.array(i, np.int64))], f"{name}.{part}", axis=1)
        for i, part in enumerate("qkv")
    )
    q = g.node("Transpose", [q], f"{name}.q_transpose", perm=[0, 2, 1])
    logits = g.node("MatMul", [q, k], f"{name}.logits")
    scale = g.constant(f"attention_scale_{c}", np.array(1 / math.sqrt(c), np.float32))
    logits = g.node("Mul", [logits, scale], f"{name}.scaled_logits")
    probabilities = g.node("Softmax", [logits], f"{name}.softmax", axis=-1)
    probabilities = g.node("Transpose", [probabilities], f"{name}.softmax_transpose", perm=[0, 2, 1])
    mixed = Value(g.node("MatMul", [v, probabilities], f"{name}.mixed"), (c, h * w))
    return add(g, x, conv(g, reshape(g, mixed, f"{name}.image", (c, h, w)), f"{name}.out"), f"{name}.residual")


def timestep_embedding(g: Graph, timestep: str, width: int) -> Value:
    """Sinusoids of a timestep [n] -> [n, width, 1, 1]: cosines, then sines, 10000^(-k / (width / 2))."""
    half = width // 2
    exponents = np.arange(half, dtype=np.float64) / half
    frequencies = np.exp(-math.log(10_000.0) * exponents).astype(np.float32).reshape(1, half, 1, 1)
    real = timestep if g.real_time else g.node("Cast", [timestep], "time.cast", to=TensorProto.FLOAT)
    column = g.node("Reshape", [real, g.shape(-1, 1, 1, 1)], "time.column")
    angles = g.node("Mul", [column, g.constant("time.frequencies", frequencies)], "time.angles")
    waves = [g.node(kind, [angles], f"time.{kind.lower()}") for kind in ("Cos", "Sin")]
    return Value(g.node("Concat", waves, "time.embedding", axis=1), (width, 1, 1))


def per_timestep(g: Graph, timestep: str, name: str, table: np.ndarray) -> str:
    """Value of `table` [T] at each image's whole timestep, [n, 1, 1, 1] f32."""
    column = g.constant(f"{name}.table", table.astype(np.float32).reshape(-1, 1, 1, 1))
    return g.node("Gather", [column, timestep], name, axis=0)


def signal_and_noise(g: Graph, timestep: str, alpha_bar: np.ndarray) -> tuple[str, str]:
    """a = sqrt(alpha_bar_t) and s = sqrt(1 - alpha_bar_t), [n, 1, 1, 1] each.

    At a whole step they are those of the table, to the bit. Between two steps ln(s / a) is interpolated, as the harness does
    for solvers that ask there: a^2 = 1 / (1 + (s / a)^2) and s^2 = 1 / (1 + (a / s)^2).
    """
    tables = {"sqrt_alpha_bar": np.sqrt(alpha_bar), "sqrt_one_minus_alpha_bar": np.sqrt(1.0 - alpha_bar)}
    if not g.real_time:
        a, s = (per_timestep(g, timestep, name, table) for name, table in tables.items())
        return a, s
    floor = g.node("Floor", [timestep], "time.floor")
    step = g.node("Cast", [floor], "time.step", to=TensorProto.INT64)
    last = g.constant("time.last", np.array(len(alpha_bar) - 1, np.int64))
    after = g.node("Min", [g.node("Add", [step, g.constant("one", np.array(1, np.int64))], "time.after"), last], "time.next")
    share = g.node("Reshape", [g.node("Sub", [timestep, floor], "time.rest"), g.shape(-1, 1, 1, 1)], "time.share")
    ratio = np.log(tables["sqrt_one_minus_alpha_bar"] / tables["sqrt_alpha_bar"])
    low = per_timestep(g, step, "log_ratio", ratio)
    column = g.node("Gather", ["log_ratio.table", after], "log_ratio.next", axis=0)
    rise = g.node("Mul", [share, g.node("Sub", [column, low], "log_ratio.step")], "log_ratio.rise")
    between = g.node("Add", [low, rise], "log_ratio.between")
    whole = g.node("Equal", [share, g.constant("zero", np.array(0, np.float32))], "time.whole")
    one = g.constant("one.real", np.array(1, np.float32))
    found = []
    for (name, table), sign in zip(tables.items(), (2.0, -2.0), strict=True):
        exponent = g.node("Mul", [between, g.constant(f"{name}.sign", np.array(sign, np.float32))], f"{name}.exponent")
        power = g.node("Add", [g.node("Exp", [exponent], f"{name}.power"), one], f"{name}.inverse_square")
        real = g.node("Reciprocal", [g.node("Sqrt", [power], f"{name}.inverse")], f"{name}.between")
        found.append(g.node("Where", [whole, per_timestep(g, step, f"{name}.whole", table), real], name))
    return found[0], found[1]
