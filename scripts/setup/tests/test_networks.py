"""What is built: CIFAR-10 records byte by byte, and the shape of the Inception graph."""

from __future__ import annotations

import unittest

import numpy as np
import onnx

from .. import cifar10, efficientnet, inception
from ..errors import SetupError


class _Shapes(dict):
    """Gives any weight that the graph asks for, one channel wide, and remembers its name."""

    def __missing__(self, name: str) -> np.ndarray:
        values = np.ones((1, 1, 3, 3) if name.endswith(".weight") else (1,), dtype=np.float32)
        self[name] = values
        return values


class _Checkpoint(dict):
    """Weights of the shapes that the network's table says, all of one value, and the classifier that it leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self._layer("_conv_stem", "_bn0", (32, 3, 3, 3))
        index = 0
        for n_blocks, kernel, _, n_in, factor, n_out in efficientnet._STAGES:
            for at in range(n_blocks):
                name, narrow = f"_blocks.{index}", n_in if at == 0 else n_out
                wide = narrow * factor
                if factor > 1:
                    self._layer(f"{name}._expand_conv", f"{name}._bn0", (wide, narrow, 1, 1))
                self._layer(f"{name}._depthwise_conv", f"{name}._bn1", (wide, 1, kernel, kernel))
                self._layer(f"{name}._project_conv", f"{name}._bn2", (n_out, wide, 1, 1))
                index += 1
        self._layer("_conv_head", "_bn1", (1280, 320, 1, 1))
        self["_fc.weight"], self["_fc.bias"] = np.ones((1000, 1280), np.float32), np.ones(1000, np.float32)

    def _layer(self, conv: str, norm: str, shape: tuple[int, ...]) -> None:
        self[f"{conv}.weight"] = np.full(shape, 0.01, np.float32)
        for part in ("weight", "bias", "running_mean", "running_var"):
            self[f"{norm}.{part}"] = np.ones(shape[0], np.float32)
        self[f"{norm}.num_batches_tracked"] = np.array(3)


class EfficientNetTest(unittest.TestCase):
    def test_it_has_the_layers_of_lite0_and_pads_behind(self) -> None:
        model = efficientnet.build(_Checkpoint())
        onnx.checker.check_model(model, full_check=True)
        nodes = model.graph.node
        kinds = [node.op_type for node in nodes]
        # 16 blocks, the first without a widening layer, nine with a short cut; stem and head.
        self.assertEqual((kinds.count("Conv"), kinds.count("Add"), kinds.count("Clip")), (49, 9, 33))
        stem = {attribute.name: list(attribute.ints) for attribute in nodes[0].attribute}
        self.assertEqual((stem["pads"], stem["strides"]), ([0, 0, 1, 1], [2, 2]))
        n_values = sum(int(np.prod(weight.dims)) for weight in model.graph.initializer) - 2
        # 4.69 million parameters of Lite0 less the classifier's, norms folded into biases.
        folded = sum(weight.dims[0] for weight in model.graph.initializer if weight.name.endswith(".bias"))
        self.assertEqual(n_values + folded, 4_652_008 - 1_281_000)

    def test_a_checkpoint_of_another_network_is_refused(self) -> None:
        lacks, more = _Checkpoint(), _Checkpoint()
        del lacks["_blocks.3._bn0.weight"]
        more["_blocks.16._se_reduce.weight"] = np.ones(1, np.float32)
        for tensors, words in ((lacks, "lacks '_blocks.3._bn0.weight'"), (more, "1 tensors that the network does not use")):
            with self.assertRaisesRegex(SetupError, words):
                efficientnet.build(tensors)


class Cifar10Test(unittest.TestCase):
    def test_record_is_label_then_red_green_blue_planes(self) -> None:
        pixels = np.zeros((2, cifar10.N_PIXELS, 3), dtype=np.uint8)
        pixels[1, 5] = (10, 20, 30)
        data = cifar10.records(np.array([3, 7], dtype=np.uint8), pixels)
        self.assertEqual(len(data), 2 * 3073)
        self.assertEqual((data[0], data[3073]), (3, 7))
        self.assertEqual([data[3073 + 1 + plane * 1024 + 5] for plane in range(3)], [10, 20, 30])
        self.assertEqual(sum(data), 3 + 7 + 60)


class InceptionTest(unittest.TestCase):
    def setUp(self) -> None:
        tensors = _Shapes()
        inception._trunk(inception._Graph(tensors), "images")
        self.tensors = dict(tensors)

    def test_it_is_the_fid_variant(self) -> None:
        nodes = inception.build(self.tensors).graph.node
        kinds = [node.op_type for node in nodes]
        self.assertEqual(kinds.count("Conv"), 94)
        averages = [node for node in nodes if node.op_type == "AveragePool"]
        self.assertEqual(len(averages), 8)
        for node in averages:
            flags = {attribute.name: attribute.i for attribute in node.attribute}
            self.assertEqual(flags["count_include_pad"], 0)
        last_pool = next(node for node in nodes if node.name == "mixed_10.pool")
        self.assertEqual(last_pool.op_type, "MaxPool")

    def test_same_weights_give_the_same_bytes(self) -> None:
        first, second = (inception.build(self.tensors).SerializeToString(deterministic=True) for _ in range(2))
        self.assertEqual(first, second)

    def test_batch_normalisation_is_folded(self) -> None:
        tensors = dict(self.tensors)
        prefix = "net.layers.conv."
        tensors[prefix + "var"] = np.array([0.249], dtype=np.float32)
        tensors[prefix + "mean"] = np.array([0.5], dtype=np.float32)
        tensors[prefix + "beta"] = np.array([3.0], dtype=np.float32)
        model = inception.build(tensors)
        values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        np.testing.assert_allclose(values["conv.weight"], 2.0, rtol=1e-6)  # 1 / sqrt(0.249 + 0.001)
        np.testing.assert_allclose(values["conv.bias"], 3.0 - 0.5 * 2.0, rtol=1e-6)

    def test_missing_or_extra_weights_are_refused(self) -> None:
        without = {name: value for name, value in self.tensors.items() if name != "net.layers.mixed_4.conv.beta"}
        with self.assertRaisesRegex(SetupError, "mixed_4.conv.beta"):
            inception.build(without)
        with self.assertRaisesRegex(SetupError, "377 tensors"):
            inception.build({**self.tensors, "net.layers.extra": np.zeros(1, np.float32)})
