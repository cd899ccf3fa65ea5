"""all-MiniLM-L6-v2, a 6-layer BERT for sentences, as an ONNX graph made from the published weights.

Architecture: BERT (arXiv:1810.04805), post-norm, exact GELU; weight names of ``transformers.BertModel``.  An
instruction is at most ``TOKENS`` word pieces long, so the position and token-type tables fold into one constant.  The
word table (half of all weights) stays outside the graph: looking up a row needs no graph.
"""

from __future__ import annotations

from collections.abc import Mapping

from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from neon_ros.encode.backbones.graph import GraphWriter

TOKENS = 32
"""Word pieces of one instruction, [CLS] and [SEP] included."""
CHANNELS = 384
WORDS = "embeddings.word_embeddings.weight"
"""Name of the table that turns word pieces into the graph's input ``words``."""
_LAYERS, _HEADS = 6, 12
_MASKED = -1e9


def text_graph(weights: Mapping[str, NDArray]) -> ModelProto:
    """Return the graph: ``words`` (B, 32, 384) and ``text_mask`` (B, 32) to ``text`` (B, 32, 384), all float32.

    ``text_mask`` is 1 for a word piece and 0 for padding; rows of padding come out as zero.

    :param weights: the tensors of ``model.safetensors`` by name.
    :raises CheckpointError: when a tensor is missing.
    """
    graph = GraphWriter("all-MiniLM-L6-v2", weights)
    places = graph.weight("embeddings.position_embeddings.weight")[:TOKENS]
    places = places + graph.weight("embeddings.token_type_embeddings.weight")[0]
    x = graph.norm(graph.node("Add", "words", graph.constant("places", places)), "embeddings.LayerNorm")
    padding = graph.node("Sub", graph.scalar(1.0), graph.reshape("text_mask", (-1, 1, 1, TOKENS)))
    bias = graph.node("Mul", padding, graph.scalar(_MASKED))
    for layer in range(_LAYERS):
        x = _layer(graph, x, bias, f"encoder.layer.{layer}")
    graph.node("Mul", x, graph.reshape("text_mask", (-1, TOKENS, 1)), output="text")
    float32, shape = TensorProto.FLOAT, ("batch", TOKENS, CHANNELS)
    inputs = [("words", float32, shape), ("text_mask", float32, ("batch", TOKENS))]
    return graph.model("all_minilm_l6_v2", inputs, [("text", float32, shape)])


def _layer(graph: GraphWriter, x: str, bias: str, name: str) -> str:
    """Add one transformer layer and return its output."""
    query = _heads(graph, x, f"{name}.attention.self.query", [0, 2, 1, 3])  # (B, heads, 32, width)
    key = _heads(graph, x, f"{name}.attention.self.key", [0, 2, 3, 1])  # (B, heads, width, 32)
    value = _heads(graph, x, f"{name}.attention.self.value", [0, 2, 1, 3])  # (B, heads, 32, width)
    scores = graph.node("Mul", graph.node("MatMul", query, key), graph.scalar((CHANNELS // _HEADS) ** -0.5))
    attention = graph.node("Softmax", graph.node("Add", scores, bias), axis=-1)  # (B, heads, 32, 32)
    mixed = graph.node("Transpose", graph.node("MatMul", attention, value), perm=[0, 2, 1, 3])
    attended = graph.linear(graph.reshape(mixed, (0, TOKENS, CHANNELS)), f"{name}.attention.output.dense")
    x = graph.norm(graph.node("Add", attended, x), f"{name}.attention.output.LayerNorm")
    hidden = graph.node("Gelu", graph.linear(x, f"{name}.intermediate.dense"))  # (B, 32, 1536)
    return graph.norm(graph.node("Add", graph.linear(hidden, f"{name}.output.dense"), x), f"{name}.output.LayerNorm")


def _heads(graph: GraphWriter, x: str, name: str, order: list[int]) -> str:
    """Add one projection of attention, cut into heads."""
    cut = graph.reshape(graph.linear(x, name), (0, TOKENS, _HEADS, CHANNELS // _HEADS))
    return graph.node("Transpose", cut, perm=order)
