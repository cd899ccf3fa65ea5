"""Node ``speech``: what the topic ``speech`` says, aloud.

Sentences are spoken on a thread of its own, one after the other; of those that wait the oldest is dropped.
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from std_msgs.msg import Bool, String

from neon_ros.bridge import topics
from neon_ros.bridge.audio import sound_to_msg
from neon_ros.errors import ConfigError, NeonError, refuse
from neon_ros.nodes.runtime import main_of
from neon_ros.nodes.stage import Stage
from neon_ros.parameters import SpeechParameters
from neon_ros.sense.audio import RATE, Resampler
from neon_ros.sense.instruction import checked_instruction
from neon_ros.speech import loudspeakers
from neon_ros.speech.voices import Voice, synthesise
from neon_ros_msgs.msg import AudioChunk

WAITING = 3
"""Most sentences that wait; who talks faster than a mouth is not heard out."""
PIECE = RATE // 10
"""Samples of one message of the voice."""


class SpeechNode(Stage[SpeechParameters]):
    """Subscribe ``speech``, publish ``speaking`` and, with a synthesiser, the sound on ``voice``."""

    def __init__(self) -> None:
        super().__init__("speech", SpeechParameters)

    def setup(self, config: SpeechParameters) -> None:
        """Find a voice, then listen."""
        self._robot: loudspeakers.RobotSpeaker | None = None
        self._folder = Path(config.wav_folder).expanduser() if config.wav_folder else None
        if config.speaker == "robot":
            if not config.interface:
                raise ConfigError(refuse("speech.interface", "nothing", "the network interface to the robot"))
            wire = ("--domain", str(config.domain), "--interface", config.interface)
            self._robot = loudspeakers.RobotSpeaker(*wire, "--volume", str(config.volume))
        else:
            self._synthesiser = Voice.named(config.voice)
            self.model_id = ":".join(filter(None, self._synthesiser))
        if self._folder is not None and not self._folder.is_dir():
            raise ConfigError(refuse("speech.wav_folder", self._folder, "a folder that exists"))
        self._player = loudspeakers.player() if config.play else ""
        self._waiting: queue.Queue[str | None] = queue.Queue()
        self._dropped, self._trouble, self._count = 0, "", 0
        self._speaking = self.create_publisher(Bool, topics.SPEAKING, topics.EVERY_OUT)
        self._voice = self.create_publisher(AudioChunk, topics.VOICE, topics.EVERY_OUT)
        self.create_subscription(String, topics.SPEECH, self.guarded(self._on_speech), topics.EVERY_IN)
        self._leaving = threading.Event()
        self._worker = threading.Thread(target=self._work, name="mouth", daemon=True)
        self._worker.start()

    def destroy_node(self) -> None:
        """Fall silent, then end the node."""
        if hasattr(self, "_worker"):  # else it was refused before it could speak
            self._leaving.set()
            self._waiting.put(None)
            self._worker.join(timeout=1.0)
            if self._robot is not None:
                self._robot.close()
        super().destroy_node()

    def facts(self) -> dict[str, str]:
        """Return what waits and what was dropped."""
        return {"waiting": str(self._waiting.qsize()), "dropped": str(self._dropped)}

    def problem(self) -> str:
        """Return why the last sentence was not spoken."""
        return self._trouble or super().problem()

    def _on_speech(self, msg: Any) -> None:
        text = checked_instruction(msg.data, "speech")
        while self._waiting.qsize() >= WAITING:
            with suppress(queue.Empty):  # the mouth may just have taken it
                self._waiting.get_nowait()
                self._dropped += 1
        self._waiting.put(text)

    def _work(self) -> None:
        """Speak until the node ends."""
        while (text := self._waiting.get()) is not None and not self._leaving.is_set():
            stamp_ns, started = self.get_clock().now().nanoseconds, time.perf_counter()
            self._speaking.publish(Bool(data=True))
            try:
                self._say(text)
                self._trouble = ""
            except NeonError as error:
                self._trouble = str(error)
                self.get_logger().warning(f"not spoken: {error}")
            finally:
                self._speaking.publish(Bool(data=False))
            self.finished("speech", stamp_ns, started)

    def _say(self, text: str) -> None:
        if self._robot is not None:
            self._robot.say(text)
            self._leaving.wait(loudspeakers.duration(text))
            return
        rate, samples = synthesise(text, self._synthesiser)
        if self._folder is not None:
            loudspeakers.write_wav(self._folder / f"speech_{self._count:04d}.wav", samples, rate)
            self._count += 1
        if self._player:
            loudspeakers.play(self._player, samples, rate)
        sound = Resampler(rate).push(samples)
        begin_ns, begin = self.get_clock().now().nanoseconds, time.monotonic()
        for start in range(0, len(sound), PIECE):  # no faster than a mouth
            due = begin + start / RATE
            if self._leaving.wait(max(0.0, due - time.monotonic())):
                return
            stamp_ns = begin_ns + start * 1_000_000_000 // RATE
            self._voice.publish(sound_to_msg(stamp_ns, "mouth", sound[start : start + PIECE], RATE))
        self._leaving.wait(max(0.0, begin + len(sound) / RATE - time.monotonic()))


main = main_of("speech", SpeechNode)

if __name__ == "__main__":
    main()
