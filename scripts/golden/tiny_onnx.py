"""Write the tiny ONNX graphs that the tests of harness/src/model open.

    pip install onnx==1.23.2 numpy==2.4.6
    python scripts/golden/tiny_onnx.py harness/tests/data/tiny

Each graph is a few nodes whose answer can be worked out by hand; the docstring of its function is the formula. All
have a dynamic batch unless they exist to be refused. The bytes do not depend on the machine.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper

F16, F32, F64 = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE
I32, I64, U8 = TensorProto.INT32, TensorProto.INT64, TensorProto.UINT8
OPSET = 17
IMAGE = ["batch", 3, 4, 4]


def graph(
    inputs: dict[str, tuple[int, list[str | int]]],
    output: tuple[str, list[str | int]],
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    extra_outputs: Sequence[ValueInfoProto] = (),
) -> onnx.ModelProto:
    """One model out of nodes and constants, checked."""
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info(name, dtype, dims) for name, (dtype, dims) in inputs.items()],
            [helper.make_tensor_value_info(output[0], F32, output[1]), *extra_outputs],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
        producer_name="tiny_onnx.py",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def node(op: str, inputs: Sequence[str], output: str, **attributes: object) -> onnx.NodeProto:
    """One node, named for its output."""
    return helper.make_node(op, list(inputs), [output], name=output, **attributes)


def scalar(value: float) -> np.ndarray:
    """An f32 of no axes."""
    return np.array(value, dtype=np.float32)


def x_and_t(t_type: int = I64) -> dict[str, tuple[int, list[str | int]]]:
    """The two inputs of an unconditional denoiser."""
    return {"sample": (F32, IMAGE), "timestep": (t_type, ["batch"])}


def time_planes() -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """`t4` = the training time as f32 [batch, 1, 1, 1]."""
    nodes = [
        node("Cast", ["timestep"], "t_float", to=F32),
        node("Unsqueeze", ["t_float", "axes"], "t4"),
    ]
    return nodes, {"axes": np.array([1, 2, 3], dtype=np.int64)}


def epsilon_class() -> onnx.ModelProto:
    """eps = 0.5 x + 0.001 t + 0.1 y, classes 0 .. 10 (the last is the null class)."""
    nodes, constants = time_planes()
    nodes += [
        node("Mul", ["sample", "half"], "scaled"),
        node("Mul", ["t4", "milli"], "t_term"),
        node("Gather", ["embedding", "label"], "y_term", axis=0),
        node("Add", ["scaled", "t_term"], "sum"),
        node("Add", ["sum", "y_term"], "eps"),
    ]
    embedding = (0.1 * np.arange(11, dtype=np.float64)).astype(np.float32).reshape(11, 1, 1, 1)
    constants |= {"half": scalar(0.5), "milli": scalar(1e-3), "embedding": embedding}
    return graph(x_and_t() | {"label": (I64, ["batch"])}, ("eps", IMAGE), nodes, constants)


def scaled(factor: float, t_type: int = I64) -> onnx.ModelProto:
    """out = factor x + 0 t."""
    nodes, constants = time_planes()
    nodes += [
        node("Mul", ["sample", "factor"], "scaled"),
        node("Mul", ["t4", "zero"], "nothing"),
        node("Add", ["scaled", "nothing"], "eps"),
    ]
    constants |= {"factor": scalar(factor), "zero": scalar(0.0)}
    return graph(x_and_t(t_type), ("eps", IMAGE), nodes, constants)


def time_only(t_type: int) -> onnx.ModelProto:
    """eps = 0 x + t: shows which number the network was fed."""
    nodes, constants = time_planes()
    nodes += [node("Mul", ["sample", "zero"], "nothing"), node("Add", ["nothing", "t4"], "eps")]
    return graph(x_and_t(t_type), ("eps", IMAGE), nodes, constants | {"zero": scalar(0.0)})


def shared_time(dims: list[str | int]) -> onnx.ModelProto:
    """eps = 0 x + t with one time for all rows of a call."""
    nodes = [
        node("Cast", ["timestep"], "t_float", to=F32),
        node("Mul", ["sample", "zero"], "nothing"),
        node("Add", ["nothing", "t_float"], "eps"),
    ]
    inputs = {"sample": (F32, IMAGE), "timestep": (I64, dims)}
    return graph(inputs, ("eps", IMAGE), nodes, {"zero": scalar(0.0)})


def edm_denoised() -> onnx.ModelProto:
    """D = x / (1 + t^2): what EDM's denoiser of x_0 ~ N(0, 1) answers at sigma = t."""
    nodes, constants = time_planes()
    nodes += [
        node("Mul", ["t4", "t4"], "square"),
        node("Add", ["square", "one"], "total"),
        node("Div", ["sample", "total"], "eps"),
    ]
    return graph(x_and_t(F32), ("eps", IMAGE), nodes, constants | {"one": scalar(1.0)})


def edm_raw() -> onnx.ModelProto:
    """F = 1.5 sigma / (1 + sigma^2) x with sigma = exp(4 t): the raw network behind the same D, for sigma_data = 0.5."""
    nodes, constants = time_planes()
    nodes += [
        node("Mul", ["t4", "four"], "log_sigma"),
        node("Exp", ["log_sigma"], "sigma"),
        node("Mul", ["sigma", "sigma"], "square"),
        node("Add", ["square", "one"], "total"),
        node("Div", ["sigma", "total"], "share"),
        node("Mul", ["share", "weight"], "factor"),
        node("Mul", ["sample", "factor"], "eps"),
    ]
    values = {"one": scalar(1.0), "four": scalar(4.0), "weight": scalar(1.5)}
    return graph(x_and_t(F32), ("eps", IMAGE), nodes, constants | values)


def learned_variance() -> onnx.ModelProto:
    """Six channels: 0.5 x, then x * x as the 'variance'. Training time f32 and unused but for its zero."""
    nodes, constants = time_planes()
    nodes += [
        node("Mul", ["sample", "half"], "mean_part"),
        node("Mul", ["sample", "sample"], "variance"),
        node("Mul", ["t4", "zero"], "nothing"),
        node("Add", ["mean_part", "nothing"], "mean"),
        node("Concat", ["mean", "variance"], "eps", axis=1),
    ]
    constants |= {"half": scalar(0.5), "zero": scalar(0.0)}
    return graph(x_and_t(F32), ("eps", ["batch", 6, 4, 4]), nodes, constants)


def learned_variance_vjp() -> onnx.ModelProto:
    """As learned_variance, with `cotangent` [b, 6, 4, 4] in and jtv = 0.5 c[:3] + 2 x c[3:] out."""
    model = learned_variance()
    model.graph.input.append(helper.make_tensor_value_info("cotangent", F32, ["batch", 6, 4, 4]))
    model.graph.output.append(helper.make_tensor_value_info("jtv", F32, IMAGE))
    model.graph.initializer.append(numpy_helper.from_array(scalar(2.0), "two"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([3, 3], dtype=np.int64), "halves"))
    model.graph.node.append(helper.make_node("Split", ["cotangent", "halves"], ["c_mean", "c_var"], axis=1))
    model.graph.node.extend(
        [
            node("Mul", ["c_mean", "half"], "from_mean"),
            node("Mul", ["sample", "c_var"], "x_c"),
            node("Mul", ["x_c", "two"], "from_variance"),
            node("Add", ["from_mean", "from_variance"], "jtv"),
        ]
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def scaled_vjp(factor: float) -> onnx.ModelProto:
    """out = factor x, with `cotangent` in and jtv = factor cotangent out."""
    model = scaled(factor)
    model.graph.input.append(helper.make_tensor_value_info("cotangent", F32, IMAGE))
    model.graph.output.append(helper.make_tensor_value_info("jtv", F32, IMAGE))
    model.graph.node.append(node("Mul", ["cotangent", "factor"], "jtv"))
    onnx.checker.check_model(model, full_check=True)
    return model


def nan_at_three() -> onnx.ModelProto:
    """eps = x (t - 3) / (t - 3): NaN in the rows whose training time is 3."""
    nodes, constants = time_planes()
    nodes += [
        node("Sub", ["t4", "three"], "distance"),
        node("Mul", ["sample", "distance"], "product"),
        node("Div", ["product", "distance"], "eps"),
    ]
    return graph(x_and_t(), ("eps", IMAGE), nodes, constants | {"three": scalar(3.0)})


def mixes_the_batch() -> onnx.ModelProto:
    """eps = x - mean of x over the batch + 0 t: a row depends on its neighbours."""
    nodes, constants = time_planes()
    nodes += [
        node("ReduceMean", ["sample"], "mean", axes=[0], keepdims=1),
        node("Sub", ["sample", "mean"], "centred"),
        node("Mul", ["t4", "zero"], "nothing"),
        node("Add", ["centred", "nothing"], "eps"),
    ]
    return graph(x_and_t(), ("eps", IMAGE), nodes, constants | {"zero": scalar(0.0)})


def four_channels() -> onnx.ModelProto:
    """Four output channels: neither the image's three nor six."""
    nodes, constants = time_planes()
    nodes += [
        node("Mul", ["t4", "zero"], "nothing"),
        node("Add", ["sample", "nothing"], "image"),
        node("ReduceMean", ["image"], "grey", axes=[1], keepdims=1),
        node("Concat", ["image", "grey"], "eps", axis=1),
    ]
    return graph(x_and_t(), ("eps", ["batch", 4, 4, 4]), nodes, constants | {"zero": scalar(0.0)})


def baked_batch() -> onnx.ModelProto:
    """eps = 0.5 x, by way of a reshape that was traced at a batch of 2."""
    nodes = [
        node("Reshape", ["sample", "traced"], "rows"),
        node("Mul", ["rows", "half"], "halved"),
        node("Shape", ["sample"], "image"),
        node("Reshape", ["halved", "image"], "eps"),
    ]
    constants = {"half": scalar(0.5), "traced": np.array([2, 48])}
    return graph(x_and_t(), ("eps", IMAGE), nodes, constants)


def fixed_batch() -> onnx.ModelProto:
    """As scaled(0.5), exported for a batch of 2."""
    model = scaled(0.5)
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_value = 2
    onnx.checker.check_model(model)
    return model


def fixed_positions() -> onnx.ModelProto:
    """eps = x + p + 0 t with p [1, 3, 4, 4], of a shape that is known when it runs: images of another size fail there."""
    free = ["batch", 3, "h", "w"]
    nodes = [
        node("Cast", ["timestep"], "t", to=F32),
        node("ReduceMean", ["t"], "mean", keepdims=0),
        node("Mul", ["mean", "zero"], "nothing"),
        node("Cast", ["nothing"], "none", to=I64),
        node("Add", ["none", "sides"], "shape"),
        node("Reshape", ["flat", "shape"], "table"),
        node("Add", ["sample", "table"], "positions"),
        node("Add", ["positions", "nothing"], "eps"),
    ]
    constants = {"flat": np.ones(48, "f4"), "sides": np.array([1, 3, 4, 4]), "zero": scalar(0.0)}
    return graph(x_and_t() | {"sample": (F32, free)}, ("eps", free), nodes, constants)


def text_condition() -> onnx.ModelProto:
    """eps = 0.5 x + tanh(x) m + 0 t, m the mean over 2 tokens of hidden [batch, 2, 3], one a channel: as a text-conditioned UNet."""
    nodes, constants = time_planes()
    nodes += [
        node("ReduceMean", ["encoder_hidden_states"], "m", axes=[1], keepdims=0),
        node("Unsqueeze", ["m", "last"], "m4"),
        node("Tanh", ["sample"], "bent"),
        node("Mul", ["bent", "m4"], "told"),
        node("Mul", ["sample", "half"], "scaled"),
        node("Add", ["scaled", "told"], "sum"),
        node("Mul", ["t4", "zero"], "nothing"),
        node("Add", ["sum", "nothing"], "eps"),
    ]
    constants |= {"half": scalar(0.5), "zero": scalar(0.0), "last": np.array([2, 3], dtype=np.int64)}
    inputs = x_and_t() | {"encoder_hidden_states": (F32, ["batch", 2, 3])}
    return graph(inputs, ("eps", IMAGE), nodes, constants)


def one_hot_class() -> onnx.ModelProto:
    """eps = 0.5 x + 0.1 y + 0 t, with the class y = 0 .. 2 as one-hot f32 [batch, 3]; without one, y = 0."""
    nodes, constants = time_planes()
    nodes += [
        node("Mul", ["sample", "half"], "scaled"),
        node("MatMul", ["label", "embedding"], "y"),
        node("Unsqueeze", ["y", "last"], "y4"),
        node("Mul", ["t4", "zero"], "nothing"),
        node("Add", ["scaled", "y4"], "sum"),
        node("Add", ["sum", "nothing"], "eps"),
    ]
    embedding = np.array([[0.0], [0.1], [0.2]], dtype=np.float32)
    constants |= {
        "half": scalar(0.5),
        "zero": scalar(0.0),
        "embedding": embedding,
        "last": np.array([2, 3], dtype=np.int64),
    }
    return graph(x_and_t() | {"label": (F32, ["batch", 3])}, ("eps", IMAGE), nodes, constants)


def channels_last() -> onnx.ModelProto:
    """eps[.., c] = (c + 1) x[.., c] + 0 t on states [batch, 4, 4, 3]."""
    image: list[str | int] = ["batch", 4, 4, 3]
    nodes, constants = time_planes()
    nodes += [
        node("Mul", ["sample", "gain"], "scaled"),
        node("Mul", ["t4", "zero"], "nothing"),
        node("Add", ["scaled", "nothing"], "eps"),
    ]
    constants |= {"gain": np.array([1, 2, 3], dtype=np.float32), "zero": scalar(0.0)}
    return graph(x_and_t() | {"sample": (F32, image)}, ("eps", image), nodes, constants)


def open_size() -> onnx.ModelProto:
    """As scaled(0.5), its height and width symbolic."""
    model = scaled(0.5)
    for value in [model.graph.input[0], *model.graph.output]:
        for axis, name in [(2, "height"), (3, "width")]:
            value.type.tensor_type.shape.dim[axis].dim_param = name
    onnx.checker.check_model(model)
    return model


def grey() -> onnx.ModelProto:
    """eps = 0.5 x + 0 t on one channel."""
    image: list[str | int] = ["batch", 1, 4, 4]
    nodes, constants = time_planes()
    nodes += [
        node("Mul", ["sample", "half"], "scaled"),
        node("Mul", ["t4", "zero"], "nothing"),
        node("Add", ["scaled", "nothing"], "eps"),
    ]
    constants |= {"half": scalar(0.5), "zero": scalar(0.0)}
    return graph(x_and_t() | {"sample": (F32, image)}, ("eps", image), nodes, constants)


def hidden_batch() -> onnx.ModelProto:
    """As scaled(0.5), with a reshape to two rows inside that no shape inference sees: its target is a sum with 0 t."""
    nodes, constants = time_planes()
    nodes += [
        node("ReduceMax", ["timestep"], "latest", keepdims=0),
        node("Mul", ["latest", "none"], "vanished"),
        node("Add", ["two", "vanished"], "target"),
        node("Reshape", ["sample", "target"], "fixed"),
        node("Mul", ["fixed", "half"], "scaled"),
        node("Mul", ["t4", "zero"], "nothing"),
        node("Add", ["scaled", "nothing"], "eps"),
    ]
    constants |= {"half": scalar(0.5), "zero": scalar(0.0), "two": np.array([2, 3, 4, 4], dtype=np.int64), "none": np.array(0, dtype=np.int64)}
    return graph(x_and_t(), ("eps", IMAGE), nodes, constants)


def train_dropout() -> onnx.ModelProto:
    """eps = 0.5 dropout(x, p = 0.25) + 0 t, with the Dropout node in training mode."""
    nodes, constants = time_planes()
    nodes += [
        node("Dropout", ["sample", "ratio", "training"], "dropped"),
        node("Mul", ["dropped", "half"], "scaled"),
        node("Mul", ["t4", "zero"], "nothing"),
        node("Add", ["scaled", "nothing"], "eps"),
    ]
    constants |= {
        "half": scalar(0.5),
        "zero": scalar(0.0),
        "ratio": scalar(0.25),
        "training": np.array(True),
    }
    return graph(x_and_t(), ("eps", IMAGE), nodes, constants)


def latent_denoiser() -> onnx.ModelProto:
    """eps = 0.5 x + 0 t on latents [4, 2, 2]."""
    latent: list[str | int] = ["batch", 4, 2, 2]
    nodes, constants = time_planes()
    nodes += [
        node("Mul", ["sample", "half"], "scaled"),
        node("Mul", ["t4", "zero"], "nothing"),
        node("Add", ["scaled", "nothing"], "eps"),
    ]
    inputs = x_and_t() | {"sample": (F32, latent)}
    return graph(inputs, ("eps", latent), nodes, constants | {"half": scalar(0.5), "zero": scalar(0.0)})


def decoder(side: int = 2) -> onnx.ModelProto:
    """Latent [4, 2, 2] to image [3, 4, 4]: channel k is latent k + latent 3, each pixel doubled. Or of another side."""
    weight = np.zeros((3, 4, 1, 1), dtype=np.float32)
    for channel in range(3):
        weight[channel, channel] = weight[channel, 3] = 1.0
    nodes = [
        node("Conv", ["latent", "weight"], "small"),
        node(
            "Resize",
            ["small", "", "scales"],
            "image",
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        ),
    ]
    constants = {"weight": weight, "scales": np.array([1, 1, 2, 2], dtype=np.float32)}
    latent, image = ["batch", 4, side, side], ["batch", 3, 2 * side, 2 * side]
    return graph({"latent": (F32, latent)}, ("image", image), nodes, constants)


def pool_encoder() -> onnx.ModelProto:
    """Image [3, 8, 8] to latent [3, 4, 4]: the mean of each 2 x 2 pixels."""
    pool = node("AveragePool", ["image"], "latent", kernel_shape=[2, 2], strides=[2, 2])
    return graph({"image": (F32, ["batch", 3, 8, 8])}, ("latent", IMAGE), [pool], {})


def fixed_moments() -> onnx.ModelProto:
    """As pool_encoder, with the squares of the means behind them in the place of log variances, for a batch of 2."""
    nodes = [
        node("AveragePool", ["image"], "mean", kernel_shape=[2, 2], strides=[2, 2]),
        node("Mul", ["mean", "mean"], "log_variance"),
        node("Concat", ["mean", "log_variance"], "moments", axis=1),
    ]
    return graph({"image": (F32, [2, 3, 8, 8])}, ("moments", [2, 6, 4, 4]), nodes, {})


def nearest_decoder() -> onnx.ModelProto:
    """Latent [3, 4, 4] to image [3, 8, 8], each place doubled, for a batch of 2."""
    resize = node(
        "Resize",
        ["latent", "", "scales"],
        "image",
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )
    scales = {"scales": np.array([1, 1, 2, 2], dtype=np.float32)}
    return graph({"latent": (F32, [2, 3, 4, 4])}, ("image", [2, 3, 8, 8]), [resize], scales)


def bfloat16() -> onnx.ModelProto:
    """As scaled(0.5), computed in bfloat16 between f32 ends."""
    nodes, constants = time_planes()
    nodes += [
        node("Cast", ["sample"], "low", to=TensorProto.BFLOAT16),
        node("Cast", ["half"], "low_half", to=TensorProto.BFLOAT16),
        node("Mul", ["low", "low_half"], "scaled"),
        node("Cast", ["scaled"], "high", to=F32),
        node("Mul", ["t4", "zero"], "nothing"),
        node("Add", ["high", "nothing"], "eps"),
    ]
    return graph(x_and_t(), ("eps", IMAGE), nodes, constants | {"zero": scalar(0.0), "half": scalar(0.5)})


def extractor() -> onnx.ModelProto:
    """Features [b, 4] of images [b, 3, 299, 299]: the three channel means, then their sum."""
    nodes = [
        node("ReduceMean", ["images"], "means", axes=[2, 3], keepdims=0),
        node("ReduceSum", ["means", "one"], "sum", keepdims=1),
        node("Concat", ["means", "sum"], "features", axis=1),
    ]
    constants = {"one": np.array([1], dtype=np.int64)}
    inputs = {"images": (F32, ["batch", 3, 299, 299])}
    return graph(inputs, ("features", ["batch", 4]), nodes, constants)


def fixed_extractor() -> onnx.ModelProto:
    """As extractor, exported for a batch of 2."""
    model = extractor()
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_value = 2
    onnx.checker.check_model(model)
    return model


GRAPHS: dict[str, Callable[[], onnx.ModelProto]] = {
    "epsilon_class": epsilon_class,
    "quarter": lambda: scaled(0.25),
    "quarter_vjp": lambda: scaled_vjp(0.25),
    "time_i64": lambda: time_only(I64),
    "time_i32": lambda: time_only(I32),
    "time_f32": lambda: time_only(F32),
    "time_f16": lambda: time_only(F16),
    "time_f64": lambda: time_only(F64),
    "time_u8": lambda: time_only(U8),
    "time_scalar": lambda: shared_time([]),
    "time_single": lambda: shared_time([1]),
    "edm_denoised": edm_denoised,
    "edm_raw": edm_raw,
    "learned_variance": learned_variance,
    "learned_variance_vjp": learned_variance_vjp,
    "nan_at_three": nan_at_three,
    "mixes_the_batch": mixes_the_batch,
    "four_channels": four_channels,
    "baked_batch": baked_batch,
    "fixed_batch": fixed_batch,
    "fixed_positions": fixed_positions,
    "text_condition": text_condition,
    "one_hot_class": one_hot_class,
    "channels_last": channels_last,
    "open_size": open_size,
    "grey": grey,
    "hidden_batch": hidden_batch,
    "train_dropout": train_dropout,
    "latent_denoiser": latent_denoiser,
    "decoder": decoder,
    "decoder_8": lambda: decoder(8),
    "pool_encoder": pool_encoder,
    "fixed_moments": fixed_moments,
    "nearest_decoder": nearest_decoder,
    "bfloat16": bfloat16,
    "extractor": extractor,
    "fixed_extractor": fixed_extractor,
}


def write_external(folder: Path) -> None:
    """epsilon_class with its embedding in external.bin."""
    model = epsilon_class()
    embedding = next(tensor for tensor in model.graph.initializer if tensor.name == "embedding")
    content = embedding.raw_data
    embedding.ClearField("raw_data")
    embedding.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "external.bin", "offset": "0", "length": str(len(content))}.items():
        embedding.external_data.add(key=key, value=value)
    (folder / "external.bin").write_bytes(content)
    (folder / "external.onnx").write_bytes(model.SerializeToString(deterministic=True))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder to write to")
    folder = parser.parse_args().folder
    if not folder.is_dir():
        sys.exit(f"tiny_onnx: {folder} is no folder: make it first")
    for name, build in GRAPHS.items():
        (folder / f"{name}.onnx").write_bytes(build().SerializeToString(deterministic=True))
    write_external(folder)
    print(f"{len(GRAPHS) + 1} graphs in {folder}")


if __name__ == "__main__":
    main()
