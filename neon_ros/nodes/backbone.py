"""Node ``backbone``: the newest picture, the words, and the sound where the model hears, to features."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_msgs.msg import String

from neon_ros.bridge import topics
from neon_ros.bridge.audio import sound_from_msg
from neon_ros.bridge.features import features_to_msg
from neon_ros.bridge.sensors import image_from_msg
from neon_ros.contracts import Features, FloatArray
from neon_ros.encode.backbones import WindowBackbone, load
from neon_ros.encode.backbones.heard import SoundSince
from neon_ros.errors import ContractError
from neon_ros.nodes.runtime import main_of
from neon_ros.nodes.stage import Stage
from neon_ros.parameters import BackboneParameters
from neon_ros.sense.stream import Newest, RateLimit
from neon_ros_msgs.msg import AudioChunk
from neon_ros_msgs.msg import Features as FeaturesMsg


class BackboneNode(Stage[BackboneParameters]):
    """Subscribe ``image``, ``instruction`` and, for a model that hears, ``audio``; publish ``features/backbone``."""

    def __init__(self) -> None:
        super().__init__("backbone", BackboneParameters)

    def setup(self, config: BackboneParameters) -> None:
        """Load the backbone, then listen."""
        given = {"path": config.path, "threads": config.threads}
        self._backbone = load(config.backbone, **{name: value for name, value in given.items() if value})
        self.model_id = self._backbone.model_id
        self._words: dict[str, FloatArray] = {}
        self._instruction = ""
        self._watched_ns = 0
        self._heard = SoundSince() if getattr(self._backbone, "hears", False) else None
        if config.instruction:
            self._tell(config.instruction)
        self._newest, self._limit = Newest("image"), RateLimit(config.rate)
        self._features = self.create_publisher(FeaturesMsg, topics.features_topic("backbone"), topics.SENSOR_OUT)
        self.create_subscription(Image, topics.IMAGE, self.guarded(self._on_image), topics.SENSOR_IN)
        # Latched for whoever spoke before this node came up, volatile for a plain `ros2 topic pub`.
        for qos in (topics.LATCHED, topics.EVERY_IN):
            self.create_subscription(String, topics.INSTRUCTION, self.guarded(self._on_instruction), qos)
        if self._heard is not None:
            self.create_subscription(AudioChunk, topics.AUDIO, self.guarded(self._on_audio), topics.AUDIO_IN)
        self.watch("image", config.image_timeout)

    def facts(self) -> dict[str, str]:
        """Return the words in force."""
        return {"instruction": self._instruction or "(none)"}

    def _tell(self, instruction: str) -> None:
        batch = self._backbone.encode_texts([instruction])
        self._words = {name: value[0] for name, value in batch.items()}
        self._instruction = instruction

    def _on_instruction(self, msg: Any) -> None:
        if msg.data != self._instruction:
            self._tell(msg.data)
            self.get_logger().info(f"instruction: {msg.data}")

    def _on_audio(self, msg: Any) -> None:
        assert self._heard is not None
        self._heard.push(sound_from_msg(msg))

    def _on_image(self, msg: Any) -> None:
        picture = image_from_msg(msg)
        self._newest.check(picture.stamp_ns)
        self.health.heard = time.monotonic()
        if not self._limit.passes(picture.stamp_ns):
            return
        started = time.perf_counter()
        features = Features(picture.stamp_ns, "backbone", self.model_id, self._look(picture.stamp_ns, picture.rgb))
        self._features.publish(features_to_msg(features))
        self.finished("backbone", picture.stamp_ns, started)

    def _look(self, stamp_ns: int, rgb: NDArray[np.uint8]) -> dict[str, FloatArray]:
        """Return all tensors of the newest picture, or of the stream that it ends."""
        if isinstance(self._backbone, WindowBackbone):
            heard = self._heard
            if stamp_ns <= self._watched_ns or (heard is not None and heard.broken):
                self._backbone.clear()  # the clock was set back or sound is missing: what was before is not of now
            self._watched_ns = stamp_ns
            try:
                return self._backbone.watch(
                    stamp_ns, rgb, self._instruction, heard.take() if heard is not None else None
                )
            except ContractError:
                if heard is not None:
                    heard.lose()
                raise
        seen = {name: value[0] for name, value in self._backbone.encode_images(rgb[None]).items()}
        return {**self._wordless(), **self._words, **seen}

    def _wordless(self) -> dict[str, FloatArray]:
        """Return the word tensors of no instruction: every mask 0."""
        return {name: np.zeros(shape, dtype=np.float32) for name, shape in self._backbone.tensors.items()}


main = main_of("backbone", BackboneNode)

if __name__ == "__main__":
    main()
