"""`ddpm-cifar10-small` as ONNX: the network of `scripts/train/unet.py`, from its safetensors file.

The network predicts v; the graph returns epsilon = a_t v + s_t x_t with a_t = sqrt(alpha_bar_t), s_t = sqrt(1 -
alpha_bar_t) looked up by timestep, so that a user of the graph sees an epsilon-predicting model.
"""

import json

import numpy as np
import onnx
from layers import (
    OPSET,
    Graph,
    Value,
    add,
    attention,
    concat,
    conv,
    depth_to_space,
    dropout,
    embedding,
    group_norm,
    linear,
    signal_and_noise,
    silu,
    space_to_depth,
    timestep_embedding,
    upsample_nearest,
)
from onnx import TensorProto, helper
from weights import Weights, WeightsError

FORMAT = "dubench-ddpm-small 1"
BETA_START, BETA_END, N_TIMESTEPS = 1e-4, 0.02, 1000
IR_VERSION = 8  # the version that came with opset 17


def alpha_bar() -> np.ndarray:
    """alpha_bar_t of the linear schedule, t = 0..999, f64."""
    return np.cumprod(1.0 - np.linspace(BETA_START, BETA_END, N_TIMESTEPS))


def residual_block(g: Graph, x: Value, time: Value, name: str, config: dict) -> Value:
    """GroupNorm, SiLU, conv; + time; GroupNorm, SiLU, dropout, conv; + skip."""
    groups = config["n_groups"]
    h = conv(g, silu(g, group_norm(g, x, f"{name}.norm1", groups), f"{name}.act1"), f"{name}.conv1")
    h = add(g, h, linear(g, time, f"{name}.time"), f"{name}.add_time")
    h = silu(g, group_norm(g, h, f"{name}.norm2", groups), f"{name}.act2")
    h = conv(g, dropout(g, h, f"{name}.dropout", config["dropout"]), f"{name}.conv2")
    skip = conv(g, x, f"{name}.skip") if f"{name}.skip.weight" in g.weights.tensors else x
    return add(g, skip, h, f"{name}.sum")


def encoder(g: Graph, h: Value, time: Value, config: dict) -> tuple[Value, list[Value]]:
    """The way down: output and the outputs kept for the way up."""
    skips, n_levels = [], len(config["multipliers"])
    for level, n_blocks in enumerate(config["n_blocks"]):
        for block in range(n_blocks):
            h = residual_block(g, h, time, f"down.{level}.blocks.{block}", config)
            if level == config["attention_level"]:
                h = attention(g, h, f"down.{level}.attention.{block}", config["n_groups"])
            skips.append(h)
        if level + 1 < n_levels:
            h = conv(g, h, f"down.{level}.downsample", stride=2)
    return h, skips


def decoder(g: Graph, h: Value, time: Value, skips: list[Value], config: dict) -> Value:
    """The way up."""
    n_levels = len(config["multipliers"])
    for stage, level in enumerate(reversed(range(n_levels))):
        for block in range(config["n_blocks"][level]):
            name = f"up.{stage}.blocks.{block}"
            h = residual_block(g, concat(g, h, skips.pop(), f"{name}.concat"), time, name, config)
            if level == config["attention_level"]:
                h = attention(g, h, f"up.{stage}.attention.{block}", config["n_groups"])
        if level > 0:
            h = upsample_nearest(g, h, f"up.{stage}.upsample.nearest")
            h = conv(g, h, f"up.{stage}.upsample.conv")
    return h


def velocity(g: Graph, sample: Value, timestep: str, config: dict) -> Value:
    """The network itself: v [n, 3, 32, 32]."""
    time = timestep_embedding(g, timestep, config["width"])
    time = linear(g, silu(g, linear(g, time, "time1"), "time1"), "time2")
    if "n_classes" in config:
        time = add(g, time, embedding(g, "label", config["n_classes"] + 1, "label"), "time_and_label")
    time = silu(g, time, "time2")
    h = conv(g, space_to_depth(g, sample, "stem.unshuffle"), "stem")
    h, skips = encoder(g, h, time, config)
    for block in range(config["n_middle"]):
        h = residual_block(g, h, time, f"middle.{block}", config)
    h = decoder(g, h, time, skips, config)
    h = conv(g, silu(g, group_norm(g, h, "out_norm", config["n_groups"]), "out_act"), "out_conv")
    return depth_to_space(g, h, "v")


def build(weights: Weights, *, train: bool, real_time: bool = False) -> onnx.ModelProto:
    """The graph; `train` keeps the Dropout nodes, active; `real_time` takes f32 times, between steps too.

    WeightsError for weights of another kind.
    """
    if weights.metadata.get("format") != FORMAT:
        raise WeightsError(f"{weights.path}: format {weights.metadata.get('format')!r}, expected {FORMAT!r}")
    config = json.loads(weights.metadata["config"])
    g = Graph(weights, train, real_time)
    sample = Value("sample", (3, 32, 32))
    v = velocity(g, sample, "timestep", config)
    a, s = signal_and_noise(g, "timestep", alpha_bar())
    parts = [g.node("Mul", [a, v.name], "epsilon.from_v"), g.node("Mul", [s, sample.name], "epsilon.from_x")]
    g.node("Add", parts, "eps")
    unused = set(weights.tensors) - g.used
    if unused:
        raise WeightsError(f"{weights.path}: {len(unused)} tensors have no place in the network: {sorted(unused)[:3]}")
    return wrap(g, classes="n_classes" in config)


def wrap(g: Graph, *, classes: bool) -> onnx.ModelProto:
    """Give the graph its inputs and output."""
    image = ["batch", 3, 32, 32]
    inputs = [
        helper.make_tensor_value_info("sample", TensorProto.FLOAT, image),
        helper.make_tensor_value_info("timestep", TensorProto.FLOAT if g.real_time else TensorProto.INT64, ["batch"]),
    ]
    if classes:
        inputs.append(helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]))
    outputs = [helper.make_tensor_value_info("eps", TensorProto.FLOAT, image)]
    name = "ddpm_cifar10_small_train" if g.train else "ddpm_cifar10_small"
    graph = helper.make_graph(g.nodes, name, inputs, outputs, list(g.initializers.values()))
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="dubench")
