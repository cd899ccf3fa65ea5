"""The relative topic names and the quality of service of each, in one place.

Sensors are published reliable and read best-effort (REP 2003), one message deep: an old sample is worth nothing.  Facts
that a late joiner needs are latched.
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

IMAGE = "image"
CAMERA_INFO = "camera_info"
POINTS = "points"
INSTRUCTION = "instruction"
JOINT_STATES = "joint_states"
IMU = "imu"
EEF_POSES = "eef_poses"
ACTION_CHUNK = "action_chunk"
HEADS = "heads"
GUARD_REPORT = "guard_report"
LATENCY = "latency"
SCENE = "scene"
COMMAND_JOINT_STATES = "command_joint_states"
ROBOT_DESCRIPTION = "robot_description"
SPEECH = "speech"
AUDIO = "audio"
SPEAKING = "speaking"
VOICE = "voice"
PREDICTED_MARKERS = "predicted/markers"
PREDICTED_CAPSULES = "predicted/capsules"
PREDICTED_TRAJECTORY = "predicted/trajectory"
PREDICTED_JOINT_STATES = "predicted/joint_states"
DIAGNOSTICS = "/diagnostics"
RECORDING = "recording"
RECORD = "record"
CLOCK = "/clock"
ARM, DISARM, STOP = "arm", "disarm", "stop"
RECORD = "record"


def features_topic(source: str) -> str:
    """Return the topic of the features of ``source``."""
    return f"features/{source}"


def path_topic(name: str) -> str:
    """Return the topic of the predicted path of ``left``, ``right`` or ``torso``."""
    return f"predicted/{name}_path"


SENSOR_OUT = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
"""For who publishes a stream."""
SENSOR_IN = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""For who reads a stream and wants the newest sample only."""
AUDIO_IN = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
"""For who listens: each piece of sound counts, from any kind of publisher."""
EVERY_IN = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
"""For who counts or shows and wants each sample."""
LATENCY_IN = QoSProfile(depth=64, reliability=ReliabilityPolicy.RELIABLE)
"""For who reads the latencies of all stages a few times a second."""
EVERY_OUT = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
"""For reports."""
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""For facts: who comes late still gets the newest."""
