"""Measure what the ears hear: words, meaning, stops, false stops, time to a stop, and what silence costs.

``python benchmarks/hearing.py`` says sentences of the task with every synthesiser that is installed, adds noise, and
sends the sound in pieces of 100 ms through the very code of the node ``hearing``.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neon_ros.contracts import FloatArray
from neon_ros.errors import ContractError
from neon_ros.learn.language import COLOURS, HANDS, SHAPES, Instruction, parse, sample_sentence
from neon_ros.sense.audio import RATE, Resampler, checked_sound
from neon_ros.speech.ear import Ear, Utterance
from neon_ros.speech.listening import Decision, Listener
from neon_ros.speech.recogniser import Whisper
from neon_ros.speech.voice import VoiceDetector
from neon_ros.speech.voices import Voice, installed, synthesise
from neon_ros.speech.words import words_of

VOICES = (
    *("flite:rms", "flite:slt", "flite:awb", "flite:kal16"),
    *("espeak-ng:en-us", "espeak-ng:en-gb", "espeak-ng:en-us+f2", "espeak-ng:en-us+m3"),
    "piper",
)
STOPS = ("stop", "stop stop stop", "robot, stop", "please stop now", "stop it", "halt")
CHATTER = (
    *("what a nice day it is today", "the meeting starts at half past ten", "can you open the window please"),
    *("I put it on top of the shelf", "let us take the next step", "the shop opens at nine", "he drops it again"),
)
LOUDNESS = 0.05
"""Root mean square of speech: -26 dB of full scale."""
PIECE = 0.1
"""[s]"""
BEFORE, AFTER = 0.6, 1.0
"""Noise around a sentence [s]."""


class Trial(NamedTuple):
    """One thing said.

    :param decision: the last one that stopped or came from an utterance.
    :param stop_after: from the end of the words to the stop, recognition included [s]; NaN without a stop.
    """

    decision: Decision
    stop_after: float


def noise(rng: np.random.Generator, count: int) -> FloatArray:
    """Return pink noise of root mean square 1, float32 (count,)."""
    spectrum = np.fft.rfft(rng.normal(size=count))
    spectrum /= np.sqrt(np.maximum(1.0, np.arange(len(spectrum)) * RATE / count / 50.0))  # flat below 50 Hz
    sound = np.fft.irfft(spectrum, count)
    return (sound / sound.std()).astype(np.float32)


class Room:
    """Says sentences and listens to them.

    :param seed: of the noise.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._listener, self._detector = Listener(Whisper()), VoiceDetector()
        self._said: dict[tuple[str, str], FloatArray] = {}
        self.spent: list[float] = []

    def voice(self, text: str, voice: str) -> FloatArray:
        """Return a sentence at 16 kHz, as loud as speech is."""
        if (text, voice) not in self._said:
            rate, sound = synthesise(text, Voice.named(voice), patience=300.0)
            sound = Resampler(rate).push(sound)
            loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max())
            sound = sound[loud[0] : loud[-1] + 1]
            self._said[text, voice] = sound * np.float32(LOUDNESS / np.sqrt(np.mean(sound**2)))
        return self._said[text, voice]

    def hear(self, text: str, voice: str, snr: float) -> Trial:
        """Return what was made of a sentence in noise.

        :param snr: signal to noise ratio [dB].
        """
        said = self.voice(text, voice)
        end = BEFORE + len(said) / RATE
        sound = np.concatenate([np.zeros(int(BEFORE * RATE)), said, np.zeros(int(AFTER * RATE))])
        sound = sound + LOUDNESS * 10.0 ** (-snr / 20.0) * noise(self._rng, len(sound))
        sound = np.clip(sound, -1.0, 1.0).astype(np.float32)
        ear, size, last, stopped = Ear(self._detector), int(PIECE * RATE), Decision(), np.nan
        self._detector.reset()
        for at in range(0, len(sound) - size + 1, size):
            for event in ear.push(checked_sound(1 + at * 62_500, sound[at : at + size], RATE, 1)):
                started = time.perf_counter()
                decision = self._listener.decide(event)
                self.spent.append(time.perf_counter() - started)
                if decision.stop and np.isnan(stopped):
                    # the piece has to be full before it is sent, and recognised after
                    stopped = (at + size) / RATE - end + self.spent[-1]
                if isinstance(event, Utterance) or decision.stop:
                    last = decision
        return Trial(last, stopped)


def errors(reference: Sequence[str], heard: Sequence[str]) -> int:
    """Return the fewest words to insert, drop or change."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(reference, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]


def meaning(text: str) -> Instruction | None:
    """Return what a sentence asks of the task, ``None`` when it is unclear."""
    try:
        return parse(text)
    except ContractError:
        return None


def sentences(count: int, seed: int) -> Iterator[tuple[Instruction, str]]:
    """Yield instructions of the task with a way to say each, half of them held out from training."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        asked = Instruction(*(words[rng.integers(len(words))] for words in (HANDS, COLOURS, SHAPES)))
        yield asked, sample_sentence(asked, rng, ("train", "heldout")[index % 2])


def judge(room: Room, voices: Sequence[str], levels: Sequence[float], count: int, seed: int) -> None:
    """Print how sentences of the task are heard."""
    said, wrong, outcome = Counter[object](), Counter[object](), defaultdict[object, Counter[str]](Counter)
    false_stops = 0
    examples: list[str] = []
    for asked, text in sentences(count, seed):
        for voice in voices:
            for snr in levels:
                decision = room.hear(text, voice, snr).decision
                if decision.stop:
                    false_stops += 1
                    examples.append(f"{text!r} stopped, heard as {decision.text!r} ({voice}, {snr:g} dB)")
                got = meaning(decision.instruction) if decision.instruction else None
                kind = "right" if got == asked else "other" if got else "unclear" if decision.instruction else "refused"
                if kind == "other":
                    examples.append(
                        f"{text!r} meant otherwise, heard as {decision.instruction!r} ({voice}, {snr:g} dB)"
                    )
                for key in (voice, f"{snr:g} dB", "all"):
                    said[key] += len(words_of(text))
                    wrong[key] += errors(words_of(text), words_of(decision.text))
                    outcome[key][kind] += 1
    print(f"\n{count} sentences of the task, each by {len(voices)} voices at {len(levels)} levels of noise")
    print(f"{'':22} {'word error':>10} {'right':>8} {'unclear':>8} {'refused':>8} {'other':>8}")
    for key, kinds in outcome.items():
        shares = " ".join(f"{kinds[kind] / kinds.total():8.1%}" for kind in ("right", "unclear", "refused", "other"))
        print(f"{key!s:22} {wrong[key] / said[key]:10.1%} {shares}")
    print(f"false stops: {false_stops} of {outcome['all'].total()} sentences")
    for example in examples[:8]:
        print(f"  {example}")


def judge_stops(room: Room, voices: Sequence[str], levels: Sequence[float]) -> None:
    """Print how many stops are heard, how soon, and how much chatter stops the robot or becomes an instruction."""
    after: dict[str, list[float]] = {text: [] for text in STOPS}
    by_level: dict[float, list[float]] = {snr: [] for snr in levels}
    for text in STOPS:
        for voice in voices:
            for snr in levels:
                trial = room.hear(text, voice, snr)
                after[text].append(trial.stop_after)
                by_level[snr].append(trial.stop_after)
    print(f"\nstops, each by {len(voices)} voices: heard, and time from the end of the words to the stop")
    everything = [value for values in after.values() for value in values]
    rows = [*after.items(), *((f"{snr:g} dB", values) for snr, values in by_level.items()), ("all", everything)]
    for name, values in rows:
        heard = np.array(values)[~np.isnan(values)]
        timing = f"median {np.median(heard):.2f} s, worst {heard.max():.2f} s" if heard.size else ""
        print(f"{name:22} {heard.size:4d} of {len(values):4d}  {timing}")
    outcome = Counter[str]()
    for text in CHATTER:
        for voice in voices:
            for snr in levels:
                decision = room.hear(text, voice, snr).decision
                outcome["stopped" if decision.stop else "passed" if decision.instruction else "refused"] += 1
    print(f"chatter: {dict(outcome)}")


def judge_noise(room: Room, seconds: float) -> None:
    """Print what the ear makes of noise alone, and what silence costs."""
    rng, ear, detector = np.random.default_rng(1), Ear(VoiceDetector()), VoiceDetector()
    size = int(PIECE * RATE)
    for name, level in (("quiet room (-66 dB)", 5e-4), ("noise of -40 dB", 1e-2), ("noise of -20 dB", 1e-1)):
        ear, sound = Ear(detector), np.clip(level * noise(rng, int(seconds * RATE)), -1, 1).astype(np.float32)
        started, events = time.process_time(), []
        for at in range(0, len(sound) - size + 1, size):
            events += ear.push(checked_sound(1 + at * 62_500, sound[at : at + size], RATE, 1))
        cost = (time.process_time() - started) / seconds
        print(f"{name:22} {cost:6.2%} of a core, {len(events)} looks and utterances in {seconds:g} s")
    print(f"one look or utterance: median {np.median(room.spent):.3f} s, worst {max(room.spent):.3f} s")


def judge_node(seconds: float) -> None:
    """Print what the whole node costs while nobody speaks, messages included."""
    import rclpy

    from neon_ros.bridge import topics
    from neon_ros.bridge.audio import sound_to_msg
    from neon_ros_msgs.msg import AudioChunk

    os.environ.setdefault("ROS_DOMAIN_ID", "96")
    rclpy.init(args=[])
    made = rclpy.create_node("silence")
    publisher = made.create_publisher(AudioChunk, topics.AUDIO, topics.EVERY_OUT)
    rng, size = np.random.default_rng(2), int(PIECE * RATE)
    process = subprocess.Popen([sys.executable, "-m", "neon_ros.nodes.hearing"])
    clock = os.sysconf("SC_CLK_TCK")

    def used() -> float:
        words = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / clock

    print("\nthe node, with ten messages a second")
    try:
        while publisher.get_subscription_count() == 0 and process.poll() is None:
            time.sleep(0.1)
        time.sleep(2.0)  # the start is over
        for name, level in (("no messages", 0.0), ("quiet room (-66 dB)", 5e-4), ("noise of -40 dB", 1e-2)):
            before, started = used(), time.monotonic()
            stamp_ns = made.get_clock().now().nanoseconds
            for number in range(int(seconds / PIECE)):
                time.sleep(max(0.0, started + number * PIECE - time.monotonic()))
                if level:
                    sound = level * noise(rng, size)
                    publisher.publish(sound_to_msg(stamp_ns + number * 100_000_000, "microphone", sound, RATE))
            print(f"{name:22} {(used() - before) / (time.monotonic() - started):6.2%} of a core")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        made.destroy_node()
        rclpy.shutdown()


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=24, help="sentences of the task")
    parser.add_argument("--snr", type=float, nargs="+", default=[30.0, 15.0, 8.0], help="signal to noise ratios [dB]")
    parser.add_argument("--voices", nargs="+", default=[v for v in VOICES if installed(v.partition(":")[0])])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--node", action="store_true", help="only what the whole node costs in silence; needs ROS")
    given = parser.parse_args()
    if given.node:
        judge_node(15.0)
        return
    room = Room(given.seed)
    judge_stops(room, given.voices, given.snr)
    judge(room, given.voices, given.snr, given.sentences, given.seed)
    judge_noise(room, 30.0)


if __name__ == "__main__":
    main()
