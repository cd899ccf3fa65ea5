"""The G1's microphones as they leave its control board: 16-bit mono sound at 16 kHz in UDP multicast.

Group and port: ``unitree_sdk2:example/g1/audio/g1_audio_client_example.cpp``.  The datagrams carry samples only: no
number and no time, so that the time of capture is that of arrival less their length.
"""

from __future__ import annotations

import socket
import struct

import numpy as np

from neon_ros.contracts import FloatArray
from neon_ros.errors import ConfigError, ContractError, refuse
from neon_ros.sense.audio import RATE

GROUP, PORT = "239.168.123.161", 5555
LARGEST = 8192
"""Longest datagram [bytes]; the robot sends 5120, which is 160 ms."""


def samples_of(datagram: bytes) -> FloatArray:
    """Return the sound in a datagram, float32 (S,), -1 to 1.

    :raises ContractError: on half a sample, none, or more than the robot sends.
    """
    if not 0 < len(datagram) <= LARGEST or len(datagram) % 2:
        allowed = f"an even number up to {LARGEST}"
        raise ContractError(refuse("microphone datagram", f"{len(datagram)} bytes", allowed))
    return np.frombuffer(datagram, dtype="<i2").astype(np.float32) / np.float32(32768.0)


def duration_ns(samples: FloatArray) -> int:
    """Return the length of the sound of a datagram [ns]."""
    return len(samples) * 1_000_000_000 // RATE


def open_socket(interface: str, group: str = GROUP, port: int = PORT) -> socket.socket:
    """Return a socket that receives the robot's microphones, with a timeout of half a second.

    :param interface: network interface to the robot.
    :raises ConfigError: when there is no such interface, or it takes no part in multicast.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((group, port))
        member = struct.pack("=4s4si", socket.inet_aton(group), bytes(4), socket.if_nametoindex(interface))
        found.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    except OSError as error:
        found.close()
        got = f"{interface!r} ({error})"
        raise ConfigError(refuse("microphone.interface", got, "the network interface to the robot")) from error
    found.settimeout(0.5)
    return found
