"""The node ``microphone`` on a multicast group of this machine: the robot's datagrams become stamped sound."""

from __future__ import annotations

import socket
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
from neon_ros.bridge import topics
from neon_ros.bridge.audio import sound_from_msg
from neon_ros.errors import ConfigError, ContractError
from neon_ros.sense.microphone import GROUP, PORT, open_socket, samples_of
from neon_ros_msgs.msg import AudioChunk

pytestmark = pytest.mark.system


@pytest.mark.parametrize("length", [0, 1, 321, 8194])
def test_half_a_sample_is_none(length: int) -> None:
    with pytest.raises(ContractError, match=f"microphone datagram: got {length} bytes; allowed: an even number up to"):
        samples_of(bytes(length))


def test_an_unknown_interface_is_refused() -> None:
    with pytest.raises(ConfigError, match="microphone.interface: got 'robot0'"):
        open_socket("robot0")


def test_datagrams_become_one_stream(peer: Any, running: Any) -> None:
    heard = peer.listen(AudioChunk, topics.AUDIO, topics.AUDIO_IN)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    ramp = np.arange(2560, dtype="<i2")

    def send() -> None:
        sender.sendto(b"odd", (GROUP, PORT))
        for _ in range(2):  # together, as after a delay on the way
            sender.sendto(ramp.tobytes(), (GROUP, PORT))

    with running("neon_ros.nodes.microphone", "--ros-args", "-p", "interface:=lo") as node:
        peer.until(lambda: len(heard) >= 6, "sound", send)
        assert node.end() == 0, node.text
    sender.close()
    sounds = [sound_from_msg(msg) for msg in heard]
    assert all(np.array_equal(sound.mono, ramp / np.float32(32768)) and sound.rate == 16_000 for sound in sounds)
    assert all(b.stamp_ns >= a.end_ns - 1000 for a, b in pairwise(sounds))
