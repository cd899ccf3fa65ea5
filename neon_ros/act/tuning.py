"""Make a graph quicker without changing what it says: fused norms, and words that are read once per sentence.

A head is run ten times a second with the same sentence, so what depends on the words alone is cut off as a graph of its
own, whose results are kept until the words change.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

WORDS: tuple[str, ...] = ("text", "text_mask")
"""Inputs that change with the sentence only."""


class Halves(NamedTuple):
    """A graph in two.

    :param words: what depends on the words alone; its outputs are inputs of ``rest``.
    :param rest: everything else.
    :param between: names of the tensors that pass from one to the other.
    """

    words: bytes
    rest: bytes
    between: tuple[str, ...]


def fuse_norms(proto: Any) -> int:
    """Replace each RMSNorm, six operators as exported, by the one that ONNX Runtime has; return how many.

    :param proto: an ONNX model; changed in place.
    """
    import onnx
    from onnx import helper

    graph = proto.graph
    users: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    kept = {item.name for item in graph.output}
    constants = {
        node.output[0]: onnx.numpy_helper.to_array(node.attribute[0].t)
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }

    def only(node: Any, kind: str) -> Any:
        """Return the one user of a node when it is of this kind."""
        name = node.output[0]
        found = users.get(name, [])
        return found[0] if len(found) == 1 and found[0].op_type == kind and name not in kept else None

    def chain(square: Any) -> tuple[list[Any], str, float] | None:
        """Return the six nodes, the gain and epsilon when ``square`` begins a norm."""
        if square.op_type != "Mul" or square.input[0] != square.input[1]:
            return None
        nodes = [square]
        for kind in ("ReduceMean", "Add", "Sqrt", "Div", "Mul", "Mul"):
            following = only(nodes[-1], kind)
            if following is None:
                return None
            nodes.append(following)
        _, mean, shifted, _, inverse, scaled, gained = nodes
        axes = [list(item.ints) for item in mean.attribute if item.name == "axes"]
        epsilon = [constants[name] for name in shifted.input if name in constants]
        one = constants.get(inverse.input[0])
        gain = [name for name in gained.input if name != scaled.output[0]]
        fits = axes == [[-1]] and len(epsilon) == 1 and one is not None and float(one) == 1.0 and len(gain) == 1
        fits = fits and square.input[0] in scaled.input and gain[0] in initialisers
        return (nodes, gain[0], float(epsilon[0])) if fits else None

    initialisers = {item.name for item in graph.initializer}
    fused: dict[int, Any] = {}
    gone: set[int] = set()
    for node in graph.node:
        found = chain(node)
        if found is None:
            continue
        nodes, gain, epsilon = found
        inputs, outputs = [node.input[0], gain], [nodes[-1].output[0]]
        kind = "SimplifiedLayerNormalization"
        fused[id(nodes[-1])] = helper.make_node(kind, inputs, outputs, axis=-1, epsilon=epsilon)
        gone |= {id(item) for item in nodes}
    if fused:
        rest = [fused.get(id(node), node) for node in graph.node if id(node) in fused or id(node) not in gone]
        copies = [helper.make_node("Identity", ["x"], ["y"]) for _ in rest]
        for copy, node in zip(copies, rest, strict=True):
            copy.CopyFrom(node)
        del graph.node[:]
        graph.node.extend(copies)
    return len(fused)


def cut_words(proto: Any) -> Halves | None:
    """Return the graph in two, what depends on the words alone and the rest; None when nothing does.

    :param proto: an ONNX model; unchanged.
    """
    from onnx import TensorProto, helper

    graph = proto.graph
    fixed = {item.name for item in graph.initializer}
    told = {item.name for item in graph.input} & set(WORDS)
    mine: list[Any] = []
    others: list[Any] = []
    constant: list[Any] = []
    spoken = set(told)
    for node in graph.node:  # in the order in which they can be computed
        if all(name in fixed or not name for name in node.input):
            constant.append(node)
            fixed.update(node.output)
        elif all(name in fixed or name in spoken or not name for name in node.input):
            mine.append(node)
            spoken.update(node.output)
        else:
            others.append(node)
    made = {name for node in mine for name in node.output}
    read = {name for node in others for name in node.input} | {item.name for item in graph.output}
    between = tuple(sorted(made & read))
    if not between:
        return None

    def half(nodes: Iterable[Any], inputs: Iterable[Any], outputs: Iterable[Any]) -> bytes:
        nodes = [*constant, *nodes]
        used = {name for node in nodes for name in node.input}
        weights = [item for item in graph.initializer if item.name in used]
        part = helper.make_graph(nodes, graph.name, list(inputs), list(outputs), weights)
        model = helper.make_model(part, opset_imports=proto.opset_import, ir_version=proto.ir_version)
        data: bytes = model.SerializeToString()
        return data

    passed = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in between]
    words = half(mine, [item for item in graph.input if item.name in told], passed)
    still_read = {name for node in others for name in node.input}
    given = [item for item in graph.input if item.name not in told or item.name in still_read]
    return Halves(words, half(others, [*given, *passed], graph.output), between)


def same(kept: dict[str, np.ndarray] | None, given: dict[str, np.ndarray]) -> bool:
    """Return whether the words are those of the last time."""
    return kept is not None and all(np.array_equal(kept[name], value) for name, value in given.items())
