"""Is a window step in one call worth a graph? Network, DDIM step, re-noising and variance as one graph, against separate calls.

    python scripts/bench/step_graph.py --batch 8 [--bundle experiments/models/ddpm-cifar10-small]

Needs numpy, onnx and onnxruntime (scripts/export/requirements.txt). The graph holds the network twice over the same
weights: at the states of the trajectory, and at M re-noised states of each. Arithmetic between is in f64 and in the order
of the harness, so that all three answers must have the bits of the separate calls; then both are timed, in turns, by
processor time on one thread, which other processes move little.
"""

import argparse
import copy
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

M = 5
OUTPUTS = ("eps", "variance", "next")


class StepGraph:
    """The graph under construction."""

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(str(path), load_external_data=False)
        self.graph = self.model.graph
        self.weights = {tensor.name for tensor in self.graph.initializer}
        self.network, self.nodes = list(self.graph.node), []

    def op(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        """One node; its output."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"step.{output}", **attributes))
        return output

    def constant(self, name: str, value: np.ndarray) -> str:
        """One small initializer."""
        self.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def wide(self, value: str) -> str:
        """In f64."""
        return self.op("Cast", [value], f"{value}.wide", to=TensorProto.DOUBLE)

    def narrow(self, value: str, output: str) -> str:
        """Rounded to f32, once."""
        return self.op("Cast", [value], output, to=TensorProto.FLOAT)

    def ask(self, prefix: str, x: str, t: str, eps: str) -> None:
        """The network at `x` and `t`; its values get a prefix, its weights are shared."""
        known = {"sample": x, "timestep": t, "": ""}
        for node in self.network:
            own = copy.deepcopy(node)
            own.name = prefix + node.name
            own.input[:] = [i if i in self.weights else known.get(i, prefix + i) for i in node.input]
            own.output[:] = [eps if o == "eps" else prefix + o for o in node.output]
            self.nodes.append(own)

    def build(self) -> onnx.ModelProto:
        """All of a step: eps, the state after it, and the variance of M predictions at re-noised states."""
        self.ask("trajectory.", "sample", "timestep", "eps")
        x, eps = self.wide("sample"), self.wide("eps")
        noise = self.op("Sub", [x, self.op("Mul", ["s", eps], "s_eps")], "x_less_noise")
        x_0 = self.narrow(self.op("Div", [noise, "a"], "x_0.exact"), "x_0.free")
        bounds = [self.constant(f"bound.{end}", np.array(end, np.float32)) for end in (-1.0, 1.0)]
        x_0 = self.wide(self.op("Clip", [x_0, *bounds], "x_0"))
        copies = self.constant("copies", np.array([M, 1, 1, 1], np.int64))
        clean = self.op("Tile", [self.op("Mul", ["a", x_0], "a_x_0"), copies], "clean")
        noised = self.op("Add", [clean, self.op("Mul", ["s", self.wide("noise")], "s_noise")], "states.exact")
        times = self.op("Tile", ["timestep", self.constant("copies.t", np.array([M], np.int64))], "times")
        self.ask("draws.", self.narrow(noised, "states"), times, "draws")
        self.variance()
        to_image = self.op("Mul", ["next_a", x_0], "to_image")
        self.narrow(self.op("Add", [to_image, self.op("Mul", ["next_s", eps], "to_noise")], "next.exact"), "next")
        return self.closed()

    def variance(self) -> None:
        """Unbiased, summed draw after draw."""
        draws = [f"draw.{m}" for m in range(M)]
        self.nodes.append(helper.make_node("Split", ["draws"], draws, name="step.split", axis=0))
        draws = [self.wide(draw) for draw in draws]
        mean = self.op("Div", [self.sum("sum", draws), self.constant("m", np.array(float(M)))], "mean")
        apart = [self.op("Sub", [draw, mean], f"{draw}.apart") for draw in draws]
        squares = self.sum("squares", [self.op("Mul", [d, d], f"{d}.square") for d in apart])
        one_less = self.constant("m_less_1", np.array(float(M - 1)))
        self.narrow(self.op("Div", [squares, one_less], "variance.exact"), "variance")

    def sum(self, name: str, values: list[str]) -> str:
        """Of several values, one after another."""
        total = values[0]
        for number, value in enumerate(values[1:]):
            total = self.op("Add", [total, value], f"{name}.{number}")
        return total

    def closed(self) -> onnx.ModelProto:
        """The model with its inputs and outputs."""
        del self.graph.node[:], self.graph.output[:]
        self.graph.node.extend(self.nodes)
        scalars = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, []) for n in ("a", "s", "next_a", "next_s")]
        image = [3, 32, 32]
        noise = helper.make_tensor_value_info("noise", TensorProto.FLOAT, ["rows", *image])
        self.graph.input.extend([*scalars, noise])
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *image]) for name in OUTPUTS]
        self.graph.output.extend(outputs)
        return self.model


def separate(session: ort.InferenceSession, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The same by six calls, and numpy between."""
    x, t, a, s = (feeds[name] for name in ("sample", "timestep", "a", "s"))
    eps = session.run(["eps"], {"sample": x, "timestep": t})[0]
    x_0 = np.clip(((x.astype(np.float64) - s * eps) / a).astype(np.float32), -1, 1).astype(np.float64)
    states = (np.tile(a * x_0, (M, 1, 1, 1)) + s * feeds["noise"]).astype(np.float32)
    parts = np.split(states, M)
    draws = [session.run(["eps"], {"sample": x, "timestep": t})[0].astype(np.float64) for x in parts]
    mean = sum(draws[1:], draws[0]) / M
    squares = [(draw - mean) ** 2 for draw in draws]
    variance = (sum(squares[1:], squares[0]) / (M - 1)).astype(np.float32)
    return [eps, variance, (feeds["next_a"] * x_0 + feeds["next_s"] * eps).astype(np.float32)]


def main() -> None:
    """Command line."""
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=root / "experiments/models/ddpm-cifar10-small")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=6)
    a = parser.parse_args()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    graph = a.bundle / "denoiser.onnx"
    plain = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    model = onnx.load_model_from_string(StepGraph(graph).build().SerializeToString())
    onnx.load_external_data_for_model(model, str(a.bundle))
    step = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    alpha_bar = np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1000))
    levels = {"a": alpha_bar[80], "s": 1 - alpha_bar[80], "next_a": alpha_bar[60], "next_s": 1 - alpha_bar[60]}
    feeds = {name: np.array(np.sqrt(value)) for name, value in levels.items()}
    feeds["sample"], feeds["noise"] = (random.standard_normal((n * a.batch, 3, 32, 32), np.float32) for n in (1, M))
    feeds["timestep"] = np.full(a.batch, 80, np.int64)
    ways = {"separate": lambda: separate(plain, feeds), "one call": lambda: step.run(list(OUTPUTS), feeds)}
    for name, x, y in zip(OUTPUTS, *(way() for way in ways.values()), strict=True):
        if not np.array_equal(x.view(np.uint32), y.view(np.uint32)):
            sys.exit(f"step_graph: {name} differs by up to {np.abs(x - y).max()}: other bits than the separate calls")
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(a.rounds):
        for name, way in ways.items():
            begin = time.process_time()
            way()
            best[name] = min(best[name], time.process_time() - begin)
    for name, seconds in best.items():
        print(f"{name}: {1e3 * seconds / (a.batch * (M + 1)):.3f} core-ms an evaluation, batch {a.batch}")
    print(f"equal bits; ratio {best['one call'] / best['separate']:.3f}")


if __name__ == "__main__":
    main()
