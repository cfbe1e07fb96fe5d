"""What is built: CIFAR-10 records byte by byte, and the shape of the Inception graph."""

from __future__ import annotations

import unittest

import numpy as np
import onnx

from .. import cifar10, inception
from ..errors import SetupError


class _Shapes(dict):
    """Gives any weight that the graph asks for, one channel wide, and remembers its name."""

    def __missing__(self, name: str) -> np.ndarray:
        values = np.ones((1, 1, 3, 3) if name.endswith(".weight") else (1,), dtype=np.float32)
        self[name] = values
        return values


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
