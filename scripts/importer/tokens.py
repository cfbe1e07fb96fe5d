"""Layers on tokens [n, length, width], for transformers."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from . import layers as nn
from .graph import Graph, Value

EPSILON = 1e-5


def matmul(g: Graph, x: Value, name: str, n_out: int, *, bias: bool = True) -> Value:
    """Linear layer on each token. The bundle keeps the weight transposed, [c_in, c_out], as the product reads it."""
    weight = g.weight(f"{name}.weight", (n_out, x.shape[-1]), transposed=True, half=g.half)
    out = g.node("MatMul", [x.name, weight], f"{name}.product")
    if bias:
        out = g.node("Add", [out, g.weight(f"{name}.bias", (n_out,), half=g.half)], name)
    return Value(out, (*x.shape[:-1], n_out))


def layer_norm(g: Graph, x: Value, name: str) -> Value:
    """LayerNorm over the width, in float32, then the type of activations."""
    width = x.shape[-1]
    single = nn.cast(g, x.name, f"{name}.single", TensorProto.FLOAT)
    inputs = [single, g.weight(f"{name}.weight", (width,)), g.weight(f"{name}.bias", (width,))]
    return nn.body(g, Value(g.node("LayerNormalization", inputs, name, axis=-1, epsilon=EPSILON), x.shape))


def gelu(g: Graph, x: Value, name: str) -> Value:
    """x (1 + erf(x / sqrt 2)) / 2, the exact one."""
    scaled = g.node("Mul", [x.name, g.scalar(float(np.sqrt(0.5)))], f"{name}.scaled")
    gate = g.node("Add", [g.node("Erf", [scaled], f"{name}.erf"), g.scalar(1.0)], f"{name}.gate")
    half = g.node("Mul", [x.name, g.scalar(0.5)], f"{name}.half")
    return Value(g.node("Mul", [half, gate], f"{name}.gelu"), x.shape)


def attention(g: Graph, x: Value, name: str, heads: int, *, qkv_bias: bool) -> Value:
    """Multi-head self-attention over tokens; channels of qkv in the order [3, heads, d]."""
    length, width = x.shape
    d = width // heads
    qkv = matmul(g, x, f"{name}.qkv", 3 * width, bias=qkv_bias)
    parts = nn.split(g, qkv, [f"{name}.{part}" for part in "qkv"], axis=2)
    q, k, v = (_heads(g, part, (length, heads, d), transposed=part.name.endswith("k")) for part in parts)
    scaled = g.node("Mul", [q, g.scalar(d**-0.5)], f"{name}.q_scaled")
    weights = nn.softmax(g, g.node("MatMul", [scaled, k], f"{name}.logits"), f"{name}.softmax")
    mixed = g.node("MatMul", [weights, v], f"{name}.mixed")
    mixed = g.node("Transpose", [mixed], f"{name}.mixed.tokens", perm=[0, 2, 1, 3])
    joined = nn.reshape(g, Value(mixed, (length, heads, d)), f"{name}.joined", (length, width))
    return matmul(g, joined, f"{name}.proj", width)


def _heads(g: Graph, x: Value, shape: tuple[int, int, int], *, transposed: bool) -> str:
    """[length, width] -> [heads, length, d], or [heads, d, length]."""
    rows = nn.reshape(g, x, f"{x.name}.rows", shape)
    perm = [0, 2, 3, 1] if transposed else [0, 2, 1, 3]
    return g.node("Transpose", [rows.name], f"{x.name}.heads", perm=perm)
