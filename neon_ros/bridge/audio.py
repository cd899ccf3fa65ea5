"""Sound as messages: ``AudioChunk``."""

from __future__ import annotations

from typing import Any

import numpy as np

from neon_ros.bridge.plain import filled, nanoseconds_of, time_of
from neon_ros.contracts import FloatArray
from neon_ros.sense.audio import Sound, checked_sound
from neon_ros_msgs.msg import AudioChunk


def sound_to_msg(stamp_ns: int, frame: str, samples: FloatArray, rate: int) -> AudioChunk:
    """Return the message of a piece of mono sound.

    :param stamp_ns: capture of the first sample [ns, ROS clock].
    :param frame: of the microphone or loudspeaker.
    :param samples: float32 (S,), -1 to 1.
    :param rate: [Hz].
    """
    msg = AudioChunk(sample_rate=rate, channels=1, samples=filled(samples.astype(np.float32), "f"))
    msg.header.stamp, msg.header.frame_id = time_of(stamp_ns), frame
    return msg


def sound_from_msg(msg: Any) -> Sound:
    """Return the sound of a message, its channels mixed.

    :raises ContractError: see :func:`neon_ros.sense.audio.checked_sound`; also on no stamp.
    """
    samples = np.frombuffer(msg.samples, dtype=np.float32) if len(msg.samples) else np.zeros(0, dtype=np.float32)
    return checked_sound(nanoseconds_of(msg.header.stamp), samples, int(msg.sample_rate), int(msg.channels))
