"""A network under construction: nodes, and the weights that it claims from a checkpoint.

A builder knows the architecture, not the file: it says which tensor of which shape it wants (`claim`), and the graph
gets an initializer that names bytes of the bundle's `weights.safetensors` (ONNX external data). Where those bytes lie
is decided when all claims are known (`weights.py`), so that no weight is ever held in memory twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8  # the version that came with opset 17
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Value:
    """Output of a layer: its name and its shape without the batch."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Claim:
    """A tensor that the network takes from the checkpoint, and how the bundle stores it."""

    key: str
    shape: tuple[int, ...]
    transposed: bool = False  # a [c_out, c_in] matrix stored as [c_in, c_out]
    half: bool = False  # stored in float16

    @property
    def name(self) -> str:
        """Name in the bundle."""
        return f"{self.key}.T" if self.transposed else self.key

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Shape in the bundle."""
        return self.shape[::-1] if self.transposed else self.shape

    @property
    def n_bytes(self) -> int:
        """Bytes in the bundle."""
        return math.prod(self.shape) * (2 if self.half else 4)


@dataclass
class Graph:
    """Nodes, constants and claims. `half` computes convolutions and matrix products in float16."""

    train: bool = False
    half: bool = False
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, TensorProto] = field(default_factory=dict)
    claims: dict[str, tuple[Claim, tuple[int, ...]]] = field(default_factory=dict)
    n_dropouts: int = 0
    widened: set[str] = field(default_factory=set)  # claims that are stored in float16 and computed with in float32

    def store_in_half(self) -> None:
        """Stores every claim in float16; those that the graph computes with in float32 are cast to it first."""
        for key, (claim, view) in self.claims.items():
            if not claim.half:
                self.widened.add(claim.name)
                self.claims[key] = (replace(claim, half=True), view)

    @property
    def body(self) -> int:
        """Element type of activations."""
        return TensorProto.FLOAT16 if self.half else TensorProto.FLOAT

    def node(self, kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        """Add one node with one output, both called `name`."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add a small initializer, stored in the ONNX file itself."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def scalar(self, value: float) -> str:
        """A constant of the type of activations."""
        kind = np.float16 if self.half else np.float32
        return self.constant(f"scalar_{value!r}", np.array(value, kind))

    def shape(self, *sizes: int) -> str:
        """A constant target shape for Reshape."""
        return self.constant("shape_" + "_".join(str(s).replace("-", "m") for s in sizes), np.array(sizes, np.int64))

    def weight(self, key: str, shape: tuple[int, ...], *, view: tuple[int, ...] | None = None, **stored: bool) -> str:
        """Claim tensor `key` of `shape`, seen by the graph as `view`. Each key is claimed once."""
        claim = Claim(key, shape, **stored)
        if key in self.claims:
            raise AssertionError(f"{key} is claimed twice")
        self.claims[key] = (claim, view or claim.stored_shape)
        return claim.name

    def initializers(self, offsets: dict[str, int]) -> list[TensorProto]:
        """All initializers; `offsets` says where in `weights.safetensors` each claimed tensor begins."""
        found = list(self.constants.values())
        for claim, view in self.claims.values():
            kind = TensorProto.FLOAT16 if claim.half else TensorProto.FLOAT
            name = f"{claim.name}.half" if claim.name in self.widened else claim.name
            proto = TensorProto(name=name, data_type=kind, dims=view)
            proto.data_location = TensorProto.EXTERNAL
            place = {"location": WEIGHTS, "offset": offsets[claim.name], "length": claim.n_bytes}
            for key, value in place.items():
                proto.external_data.add(key=key, value=str(value))
            found.append(proto)
        return found


    def casts(self) -> list[onnx.NodeProto]:
        """Nodes that make float32 of the weights that are stored in float16 alone."""
        return [
            helper.make_node("Cast", [f"{name}.half"], [name], name=f"{name}.cast", to=TensorProto.FLOAT)
            for name in sorted(self.widened)
        ]


@dataclass(frozen=True)
class Port:
    """Input or output of a graph: f32 or i64, the batch first."""

    name: str
    shape: tuple[int, ...]
    kind: int = TensorProto.FLOAT

    def info(self) -> onnx.ValueInfoProto:
        """As ONNX declares it."""
        return helper.make_tensor_value_info(self.name, self.kind, ["batch", *self.shape])


@dataclass(frozen=True)
class Network:
    """A finished graph with its ports. Small: weights are claims."""

    name: str
    graph: Graph
    inputs: list[Port]
    output: Port

    def model(self, offsets: dict[str, int]) -> onnx.ModelProto:
        """The ONNX file."""
        graph = self.graph
        inputs, outputs = [port.info() for port in self.inputs], [self.output.info()]
        body = helper.make_graph([*graph.casts(), *graph.nodes], self.name, inputs, outputs, graph.initializers(offsets))
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(body, opset_imports=[opset], ir_version=IR_VERSION, producer_name="dubench")


def denoiser_ports(shape: tuple[int, ...], n_outputs: int, has_label: bool) -> tuple[list[Port], Port]:
    """`sample`, `timestep` and perhaps `label`; `eps` of `n_outputs` channels."""
    inputs = [Port("sample", shape), Port("timestep", (), TensorProto.INT64)]
    if has_label:
        inputs.append(Port("label", (), TensorProto.INT64))
    return inputs, Port("eps", (n_outputs, *shape[1:]))
