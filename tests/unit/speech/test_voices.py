"""Voices as programs: what they may answer, and a mouth whose process dies."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest

from neon_ros.errors import ConfigError, NeonError, RobotError
from neon_ros.speech import loudspeakers, voices

TALKER = """
import json, sys
for line in sys.stdin:
    text = json.loads(line)
    if text == "die":
        sys.exit(1)
    print(json.dumps({"error": "too loud" if text == "HA" else ""}), flush=True)
"""


def test_a_sentence_survives_its_wav_file(tmp_path: Path) -> None:
    sound = np.array([0.0, 0.5, -0.5, 1.0], dtype=np.float32)
    loudspeakers.write_wav(tmp_path / "a.wav", sound, 22_050)
    rate, back = voices.read_wav((tmp_path / "a.wav").read_bytes(), "voice")
    assert rate == 22_050 and np.abs(back - sound).max() < 1e-4


@pytest.mark.parametrize("data", [b"", b"RIFF", b"not a wav file at all", bytes(100)])
def test_what_is_no_wav_is_refused(data: bytes) -> None:
    with pytest.raises(RobotError, match="voice flite: got no WAV"):
        voices.read_wav(data, "voice flite")


def test_an_unknown_or_missing_voice_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="voice: got 'hal'; allowed: auto or one of piper, "):
        voices.Voice.named("hal")
    monkeypatch.setattr(voices.shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match="flite, which is not installed"):
        voices.Voice.named("flite:rms")


def test_a_synthesiser_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    voice = voices.Voice("flite")
    for code, said in (("import sys; sys.exit('no such voice')", "exit code 1: no such voice"), ("pass", "got no WAV")):
        monkeypatch.setattr(voices, "_command", lambda voice, text, code=code: [sys.executable, "-c", code])
        with pytest.raises(RobotError, match=said):
            voices.synthesise("hello", voice)


def test_a_mouth_that_died_is_started_again() -> None:
    mouth = loudspeakers.RobotSpeaker()
    mouth._command = [sys.executable, "-c", TALKER]
    mouth.say("hello")
    with pytest.raises(RobotError, match="too loud"):
        mouth.say("HA")
    with pytest.raises(RobotError, match="the robot's speaker: got .*; allowed: an answer"):
        mouth.say("die")
    mouth.say("hello again")
    mouth.close()


def test_the_speaker_process_answers_every_line() -> None:
    pytest.importorskip("cyclonedds")
    from neon_ros.motor import speaker

    said: list[str] = []

    def say(text: str) -> None:
        if text == "no":
            raise NeonError("voice: refused")
        said.append(text)

    answers = io.StringIO()
    speaker.serve(['"hello"\n', "{\n", "5\n", '"no"\n', '"bye"\n'], answers, say)
    errors = answers.getvalue().splitlines()
    assert said == ["hello", "bye"] and len(errors) == 5
    assert "speech: got int; allowed: a text" in errors[2] and "voice: refused" in errors[3]
