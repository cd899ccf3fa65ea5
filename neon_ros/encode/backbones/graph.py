"""A small writer of ONNX graphs: nodes and constants are collected, names are made up, a model comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from neon_ros.errors import CheckpointError, refuse

OPSET = 20
IR_VERSION = 10
_NORM_EPSILON = 1e-12

Value = tuple[str, int, Sequence[int | str]]
"""Name, ``TensorProto`` element type and shape of a graph's input or output."""


class GraphWriter:
    """Collects the nodes and constants of one graph.

    :param owner: what the weights belong to, named in errors.
    :param weights: tensors by published name.
    """

    def __init__(self, owner: str, weights: Mapping[str, NDArray]) -> None:
        self._owner = owner
        self._weights = weights
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}

    def weight(self, name: str) -> NDArray:
        """Return a published tensor.

        :raises CheckpointError: when the weights hold no such tensor.
        """
        if name not in self._weights:
            raise CheckpointError(refuse(f"{self._owner} weights", f"no tensor {name}", "the published tensors"))
        return self._weights[name]

    def constant(self, name: str, value: ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        """Add a constant and return its name."""
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name)
        return name

    def scalar(self, value: float) -> str:
        """Add a float32 number, once however often it is used, and return its name."""
        name = f"number_{value!r}"
        self._constants[name] = numpy_helper.from_array(np.array(value, dtype=np.float32), name)
        return name

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        """Add a node and return the name of its output."""
        output = output or f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def reshape(self, x: str, shape: Sequence[int], output: str | None = None) -> str:
        """Add a reshape (0 keeps a length) and return the name of its output."""
        name = "shape_" + "_".join(map(str, shape))
        return self.node("Reshape", x, self.constant(name, shape, np.int64), output=output)

    def linear(self, x: str, name: str) -> str:
        """Add ``x W^T + b`` with torch's weight layout and return the name of its output."""
        y = self.node("MatMul", x, self.constant(f"{name}.weight", self.weight(f"{name}.weight").T))
        return self.node("Add", y, self.constant(f"{name}.bias", self.weight(f"{name}.bias")))

    def norm(self, x: str, name: str) -> str:
        """Add a layer normalisation over the last dimension and return the name of its output."""
        gain = self.constant(f"{name}.weight", self.weight(f"{name}.weight"))
        bias = self.constant(f"{name}.bias", self.weight(f"{name}.bias"))
        return self.node("LayerNormalization", x, gain, bias, axis=-1, epsilon=_NORM_EPSILON)

    def model(self, name: str, inputs: Sequence[Value], outputs: Sequence[Value]) -> ModelProto:
        """Return the finished model."""
        constants = list(self._constants.values())
        graph = helper.make_graph(self._nodes, name, _infos(inputs), _infos(outputs), constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _infos(values: Sequence[Value]) -> list[ValueInfoProto]:
    return [helper.make_tensor_value_info(name, kind, list(shape)) for name, kind, shape in values]
