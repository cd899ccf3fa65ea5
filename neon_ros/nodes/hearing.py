"""Node ``hearing``: what is said near the robot, as instruction; and a stop, which always wins.

Sound is cut into utterances in the callback, which is quick; words are recognised on a thread of its own, of which at
most one recognition and one utterance are waiting.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from neon_ros.bridge import topics
from neon_ros.bridge.audio import sound_from_msg
from neon_ros.errors import refuse
from neon_ros.nodes.runtime import main_of
from neon_ros.nodes.stage import Stage
from neon_ros.parameters import HearingParameters
from neon_ros.sense.audio import RATE
from neon_ros.speech.ear import Ear
from neon_ros.speech.listening import Decision, Listener, OwnVoice
from neon_ros.speech.pending import Pending
from neon_ros.speech.recogniser import VOCABULARY, Whisper
from neon_ros.speech.voice import VoiceDetector
from neon_ros_msgs.msg import AudioChunk

TASK = "touch"
"""Value of the parameter ``vocabulary`` for the words of the task."""
ANSWER = 1.0
"""Longest wait for the answer to a stop before a person must look [s]."""


class HearingNode(Stage[HearingParameters]):
    """Subscribe ``audio`` and ``speaking``, publish ``instruction``, call ``stop``."""

    def __init__(self) -> None:
        super().__init__("hearing", HearingParameters)

    def setup(self, config: HearingParameters) -> None:
        """Load the recogniser, then listen."""
        vocabulary = VOCABULARY if config.vocabulary == TASK else config.vocabulary
        self._listener = Listener(
            Whisper(vocabulary, config.threads),
            config.wake_word,
            config.least_confidence,
            config.instructions,
            any_sentence=config.accept == "any",
        )
        self._ear = Ear(VoiceDetector(), config.pause)
        self._pending = Pending()
        self._own, self._stops, self._unserved, self._said = OwnVoice(), 0, "", ""
        self._asked: tuple[Any, float] | None = None
        self._instruction = self.create_publisher(String, topics.INSTRUCTION, topics.LATCHED)
        self._stop = self.create_client(Trigger, topics.STOP)
        self.create_subscription(AudioChunk, topics.AUDIO, self.guarded(self._on_audio), topics.AUDIO_IN)
        self.create_subscription(Bool, topics.SPEAKING, self.guarded(self._on_speaking), topics.EVERY_IN)
        self._worker = threading.Thread(target=self._work, name="recogniser", daemon=True)
        self._worker.start()

    def destroy_node(self) -> None:
        """End the recogniser's thread, then the node."""
        if hasattr(self, "_pending"):  # else it was refused before it could listen
            self._pending.close()
            self._worker.join(timeout=1.0)
        super().destroy_node()

    def facts(self) -> dict[str, str]:
        """Return what was heard last."""
        ear = {"holes": str(self._ear.holes), "speaking": str(self._ear.speaking).lower()}
        return {**ear, "said": self._said or "(nothing)", "stops": str(self._stops), "late": str(self._pending.dropped)}

    def error(self) -> str:
        """Return that a stop reached nobody, or that nobody recognises words any more."""
        if not self._worker.is_alive():
            return refuse("recogniser", "its thread has ended", "a restart of the node")
        if self._asked is not None and not self._asked[0].done() and time.monotonic() - self._asked[1] > ANSWER:
            return refuse("stop", f"no answer of {self._stop.srv_name} in {ANSWER:g} s", "a g1_command that answers")
        return self._unserved

    def _on_speaking(self, msg: Any) -> None:
        self._own.note(msg.data, time.monotonic())

    def _on_audio(self, msg: Any) -> None:
        sound = sound_from_msg(msg)
        events = self._ear.push(sound)
        self.health.heard = time.monotonic()
        self.watch("audio", self.config.audio_timeout)  # from now on: a robot without a microphone is no fault
        for event in events:
            self._pending.put(event, self._own.in_sound(len(event.samples) / RATE, time.monotonic()))

    def _work(self) -> None:
        """Recognise until the node ends."""
        while (job := self._pending.take()) is not None:
            event, muted = job
            started = time.perf_counter()
            try:
                self._act(self._listener.decide(event, muted))
            except RuntimeError as error:  # of the recogniser's library
                self.health.refused += 1
                self.health.last_refusal = str(error)
                continue
            self.finished("hearing", event.end_ns, started)

    def _act(self, decision: Decision) -> None:
        if decision.stop:
            self._call_stop(decision.text)
        elif decision.instruction:
            self._said = decision.instruction
            self._instruction.publish(String(data=decision.instruction))
            self.get_logger().info(f"instruction: {decision.instruction}")
        elif decision.refusal:
            self._said = f"refused: {decision.refusal}"
            self.get_logger().info(f"not taken: {decision.refusal}")

    def _call_stop(self, text: str) -> None:
        self._stops += 1
        self._said = text
        self.get_logger().warning(f"stop: heard {text!r}")
        if not self._stop.service_is_ready():
            self._unserved = refuse("stop", f"{text!r} heard, but nobody serves {self._stop.srv_name}", "a g1_command")
            self.get_logger().error(self._unserved)
            return
        self._unserved = ""
        future = self._stop.call_async(Trigger.Request())
        self._asked = (future, time.monotonic())
        future.add_done_callback(self._answered)

    def _answered(self, future: Any) -> None:
        answer = future.result()
        if not answer.success:
            self._unserved = refuse("stop", answer.message, "a motor process that stops")
            self.get_logger().error(self._unserved)


main = main_of("hearing", HearingNode)

if __name__ == "__main__":
    main()
