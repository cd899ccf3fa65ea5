"""Voice activity, window by window: Silero VAD on ONNX Runtime, behind a gate that costs nothing in a quiet room."""

from __future__ import annotations

import numpy as np
import onnxruntime

from neon_ros.contracts import FloatArray
from neon_ros.encode.backbones.weights import PackagedFile
from neon_ros.errors import ContractError, refuse
from neon_ros.sense.audio import RATE

WINDOW = 512
"""Samples that are judged at once; the model knows no other length at 16 kHz (silero_vad/utils_vad.py)."""
_CONTEXT = 64
"""Samples of the window before that the model sees again."""
QUIET = 1e-3
"""Root mean square below which nobody speaks to the robot: -60 dB of full scale, a quiet room through a microphone."""
SILERO = PackagedFile(
    "silero-vad==6.2.3",
    "silero_vad",
    "data/silero_vad_16k_op15.onnx",
    "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
)
_RATE = np.array(RATE, dtype=np.int64)


class VoiceDetector:
    """How likely it is that somebody speaks.

    :raises CheckpointError: when the model is missing or altered.
    """

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # the model carries initialisers that it does not use
        self._session = onnxruntime.InferenceSession(SILERO.read(), options, providers=["CPUExecutionProvider"])
        self.reset()

    def reset(self) -> None:
        """Forget what was heard, as after a hole."""
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._context = np.zeros(_CONTEXT, dtype=np.float32)

    def probability(self, window: FloatArray) -> float:
        """Return the probability of speech, 0 to 1.

        :param window: float32 (512,), the next piece of mono sound at 16 kHz.
        :raises ContractError: on another length.
        """
        if window.shape != (WINDOW,):
            raise ContractError(refuse("voice window", window.shape, f"({WINDOW},)"))
        if float(np.dot(window, window)) < WINDOW * QUIET**2:
            self.reset()
            return 0.0
        given = {"input": np.concatenate([self._context, window])[None], "state": self._state, "sr": _RATE}
        probability, self._state = self._session.run(None, given)
        self._context = window[-_CONTEXT:].copy()
        return float(probability[0, 0])
