"""Layers of convolutional networks as ONNX nodes. Shapes are [n, c, h, w] with static c, h, w and a free batch n.

Why are layers on one vector an image written as 1x1 convolutions? ONNX Runtime multiplies all rows of a batch in one
matrix product and may sum a row in another order when the batch is 1; a convolution treats every image alone.

With `graph.half`, convolutions take float16 weights and activations; norms, softmax and what is made of the timestep
stay in float32, as the published models are run.
"""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto, helper

from .graph import Graph, Value


def cast(g: Graph, x: str, name: str, to: int) -> str:
    """Another element type; nothing in a float32 graph."""
    return g.node("Cast", [x], name, to=to) if g.half else x


def conv(
    g: Graph,
    x: Value,
    name: str,
    n_out: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    pads: tuple[int, int, int, int] | None = None,
    rank: int = 4,
) -> Value:
    """k x k convolution with bias, padded by k // 2. `rank` is that of the weight in the checkpoint: a 1x1 kernel may
    be kept as [c_out, c_in, 1] or [c_out, c_in]."""
    n_in = x.shape[0]
    pads = pads or (kernel // 2,) * 4
    shape = (n_out, n_in, *(kernel,) * (rank - 2))
    weight = g.weight(f"{name}.weight", shape, view=(n_out, n_in, kernel, kernel), half=g.half)
    bias = g.weight(f"{name}.bias", (n_out,), half=g.half)
    out = g.node("Conv", [x.name, weight, bias], name, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=list(pads))
    height, width = (
        (extent + pads[axis] + pads[axis + 2] - kernel) // stride + 1 for axis, extent in enumerate(x.shape[1:])
    )
    return Value(out, (n_out, height, width))


def last_conv(g: Graph, x: Value, name: str, n_out: int, output: str) -> Value:
    """The 3x3 convolution that ends a network, in float32; its value is called `output`."""
    shape = (n_out, x.shape[0], 3, 3)
    inputs = [x.name, g.weight(f"{name}.weight", shape), g.weight(f"{name}.bias", (n_out,))]
    return Value(g.node("Conv", inputs, output, kernel_shape=[3, 3], pads=[1] * 4), (n_out, *x.shape[1:]))


def linear(g: Graph, x: Value, name: str, n_out: int) -> Value:
    """Linear layer on a vector [n, c_in, 1, 1], in float32."""
    n_in = x.shape[0]
    weight = g.weight(f"{name}.weight", (n_out, n_in), view=(n_out, n_in, 1, 1))
    inputs = [x.name, weight, g.weight(f"{name}.bias", (n_out,))]
    return Value(g.node("Conv", inputs, name, kernel_shape=[1, 1]), (n_out, 1, 1))


def silu(g: Graph, x: Value, name: str) -> Value:
    """x * sigmoid(x)."""
    gate = g.node("Sigmoid", [x.name], f"{name}.sigmoid")
    return Value(g.node("Mul", [x.name, gate], f"{name}.silu"), x.shape)


def reshape(g: Graph, x: Value, name: str, shape: tuple[int, ...]) -> Value:
    """Reshape all but the batch."""
    return Value(g.node("Reshape", [x.name, g.shape(-1, *shape)], name), shape)


# ONNX Runtime sums a group of InstanceNormalization in one float32. Of 131,072 elements (the largest of ADM 128) that is
# off by some 1e-6, of the 1,048,576 of a decoder of 512 pixels by 1e-5: larger groups are normalised by means of means.
LARGEST_SUM = 1 << 17


def group_norm(g: Graph, x: Value, name: str, n_groups: int, epsilon: float) -> Value:
    """GroupNorm over [n, groups, c/groups*h*w], then scale and shift a channel. The output stays in float32 under
    `half`: `body` brings it back."""
    channels = x.shape[0]
    single = Value(cast(g, x.name, f"{name}.single", TensorProto.FLOAT), x.shape)
    n_elements = math.prod(x.shape) // n_groups
    large = n_elements > LARGEST_SUM
    shape = (n_groups, n_elements // x.shape[-1], x.shape[-1]) if large else (n_groups, n_elements)
    grouped = reshape(g, single, f"{name}.group", shape)
    normal = (normalize_large if large else normalize)(g, grouped, name, epsilon)
    normal = reshape(g, Value(normal, grouped.shape), f"{name}.ungroup", x.shape).name
    weight, bias = (g.weight(f"{name}.{part}", (channels,), view=(channels, 1, 1)) for part in ("weight", "bias"))
    scaled = g.node("Mul", [normal, weight], f"{name}.scale")
    return Value(g.node("Add", [scaled, bias], f"{name}.shift"), x.shape)


def normalize(g: Graph, x: Value, name: str, epsilon: float) -> str:
    """[n, groups, elements] to mean 0 and variance 1 within each group."""
    n_groups = x.shape[0]
    one = g.constant(f"ones_{n_groups}", np.ones(n_groups, np.float32))
    zero = g.constant(f"zeros_{n_groups}", np.zeros(n_groups, np.float32))
    return g.node("InstanceNormalization", [x.name, one, zero], f"{name}.normalize", epsilon=epsilon)


def normalize_large(g: Graph, x: Value, name: str, epsilon: float) -> str:
    """[n, groups, rows, columns] to mean 0 and variance 1 within each group, by means of rows and then of those."""

    def mean(value: str, part: str) -> str:
        rows = g.node("ReduceMean", [value], f"{name}.{part}.rows", axes=[3], keepdims=1)
        return g.node("ReduceMean", [rows], f"{name}.{part}", axes=[2], keepdims=1)

    centred = g.node("Sub", [x.name, mean(x.name, "mean")], f"{name}.centred")
    variance = mean(g.node("Mul", [centred, centred], f"{name}.squares"), "variance")
    smallest = g.constant(f"epsilon_{epsilon!r}", np.array(epsilon, np.float32))
    shifted = g.node("Add", [variance, smallest], f"{name}.shifted")
    return g.node("Div", [centred, g.node("Sqrt", [shifted], f"{name}.deviation")], f"{name}.normalize")


def body(g: Graph, x: Value) -> Value:
    """From float32 to the type of activations."""
    return Value(cast(g, x.name, f"{x.name}.body", g.body), x.shape)


def norm_silu(g: Graph, x: Value, name: str, n_groups: int, epsilon: float) -> Value:
    """GroupNorm and SiLU in float32, then the type of activations."""
    return body(g, silu(g, group_norm(g, x, name, n_groups, epsilon), f"{name}.act"))


def add(g: Graph, x: Value, y: Value, name: str) -> Value:
    """x + y; y may have height and width 1."""
    return Value(g.node("Add", [x.name, y.name], name), x.shape)


def dropout(g: Graph, x: Value, name: str, ratio: float) -> Value:
    """A `Dropout` node in the train graph, nothing in the plain one. One of ratio 0 drops nothing: `dubench` gives it
    no mask."""
    if not g.train:
        return x
    g.n_dropouts += ratio > 0
    rate = g.constant(f"dropout_ratio_{ratio}", np.array(ratio, np.float32))
    active = g.constant("training_mode", np.array(True))
    return Value(g.node("Dropout", [x.name, rate, active], name), x.shape)


def concat(g: Graph, x: Value, y: Value, name: str) -> Value:
    """Concatenate channels."""
    return Value(g.node("Concat", [x.name, y.name], name, axis=1), (x.shape[0] + y.shape[0], *x.shape[1:]))


def split(g: Graph, x: Value, names: list[str], axis: int) -> list[Value]:
    """Equal parts along `axis` (the batch is axis 0)."""
    extent = x.shape[axis - 1] // len(names)
    sizes = g.shape(*(extent,) * len(names))
    g.nodes.append(helper.make_node("Split", [x.name, sizes], names, name=f"{names[0]}.split", axis=axis))
    shape = (*x.shape[: axis - 1], extent, *x.shape[axis:])
    return [Value(name, shape) for name in names]


def upsample_nearest(g: Graph, x: Value, name: str) -> Value:
    """Nearest neighbour, x2."""
    scales = g.constant("scales_2", np.array([1, 1, 2, 2], np.float32))
    options = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    out = g.node("Resize", [x.name, "", scales], name, **options)
    return Value(out, (x.shape[0], 2 * x.shape[1], 2 * x.shape[2]))


def scale_shift(g: Graph, x: Value, both: Value, name: str) -> Value:
    """x (1 + scale) + shift, where `both` holds a scale a channel and then a shift a channel. All in float32."""
    scale, shift = split(g, both, [f"{name}.scale", f"{name}.shift"], axis=1)
    one = g.constant("one", np.array(1, np.float32))
    factor = g.node("Add", [scale.name, one], f"{name}.one_plus_scale")
    scaled = g.node("Mul", [x.name, factor], f"{name}.scaled")
    return Value(g.node("Add", [scaled, shift.name], f"{name}.shifted"), x.shape)


def average_pool(g: Graph, x: Value, name: str) -> Value:
    """Mean of 2x2."""
    out = g.node("AveragePool", [x.name], name, kernel_shape=[2, 2], strides=[2, 2])
    return Value(out, (x.shape[0], x.shape[1] // 2, x.shape[2] // 2))


def softmax(g: Graph, logits: str, name: str) -> str:
    """Softmax over the last axis, in float32."""
    single = cast(g, logits, f"{name}.single", TensorProto.FLOAT)
    return cast(g, g.node("Softmax", [single], name, axis=-1), f"{name}.body", g.body)


def attend(g: Graph, q: Value, k: Value, v: Value, name: str) -> Value:
    """softmax(q^T k / sqrt(d)) over positions: q, k, v [heads, d, positions] -> [heads, positions, d].

    q and k are each scaled by d^(-1/4) before the product, which keeps float16 in range.
    """
    heads, d, n = q.shape
    scale = g.scalar(d**-0.25)
    q_t = g.node("Transpose", [q.name], f"{name}.q_transpose", perm=[0, 1, 3, 2])
    q_t = g.node("Mul", [q_t, scale], f"{name}.q_scaled")
    k_s = g.node("Mul", [k.name, scale], f"{name}.k_scaled")
    weights = softmax(g, g.node("MatMul", [q_t, k_s], f"{name}.logits"), f"{name}.softmax")
    v_t = g.node("Transpose", [v.name], f"{name}.v_transpose", perm=[0, 1, 3, 2])
    return Value(g.node("MatMul", [weights, v_t], f"{name}.mixed"), (heads, n, d))


def image_of(g: Graph, tokens: Value, name: str, image: tuple[int, ...]) -> Value:
    """[heads, positions, d] -> [heads * d, h, w]."""
    moved = g.node("Transpose", [tokens.name], f"{name}.transpose", perm=[0, 1, 3, 2])
    return reshape(g, Value(moved, image), f"{name}.image", image)


def sinusoids(g: Graph, width: int, *, shift: float = 0.0, sine_first: bool = False) -> Value:
    """Sinusoids of the i64 input `timestep`: [n, width, 1, 1] f32, frequencies 10000^(-k / (width / 2 - shift)).

    The frequencies are rounded to f32 step by step as the reference implementations do: with t up to 1000 a frequency
    that is off by one part in 10^7 would show.
    """
    half = width // 2
    steps = np.arange(half, dtype=np.float32)
    exponents = np.float32(-math.log(10_000.0)) * steps / np.float32(half - shift)
    frequencies = np.exp(exponents, dtype=np.float32).reshape(1, half, 1, 1)
    real = g.node("Cast", ["timestep"], "time.cast", to=TensorProto.FLOAT)
    column = g.node("Reshape", [real, g.shape(-1, 1, 1, 1)], "time.column")
    angles = g.node("Mul", [column, g.constant("time.frequencies", frequencies)], "time.angles")
    kinds = ("Sin", "Cos") if sine_first else ("Cos", "Sin")
    waves = [g.node(kind, [angles], f"time.{kind.lower()}") for kind in kinds]
    return Value(g.node("Concat", waves, "time.embedding", axis=1), (width, 1, 1))


def embedding(g: Graph, name: str, n_rows: int, width: int) -> Value:
    """Row of a table for each image's `label`: [n, width, 1, 1] f32."""
    table = g.weight(f"{name}.weight", (n_rows, width))
    rows = g.node("Gather", [table, "label"], f"{name}.rows", axis=0)
    return reshape(g, Value(rows, (width,)), f"{name}.column", (width, 1, 1))
