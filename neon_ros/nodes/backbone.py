"""Node ``backbone``: the newest picture, the words, and the sound where the model hears, to features.

A lifecycle node: configure loads the weights and warms up, activate looks.  Unless a lifecycle manager wants to
(``autoactivate:=false``) it goes there by itself.  A model that does not fit into memory leaves the node where it is,
saying so in the diagnostics; all others of the graph go on without its features.
"""

from __future__ import annotations

import gc
import time
from typing import Any

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from neon_ros.bridge import topics
from neon_ros.bridge.audio import sound_from_msg
from neon_ros.bridge.features import features_to_msg
from neon_ros.bridge.sensors import Picture, image_from_msg, picture_from_msg
from neon_ros.contracts import Features
from neon_ros.encode.backbones import MemoryShort, load
from neon_ros.encode.backbones.heard import SoundSince
from neon_ros.encode.backbones.looking import Looking
from neon_ros.encode.backbones.thinking import REASON, Thinking, Thought
from neon_ros.errors import ContractError, NeonError
from neon_ros.nodes.runtime import main_of
from neon_ros.nodes.stage import START_GRACE, Reporting, declare
from neon_ros.parameters import BackboneParameters
from neon_ros.sense.camera import CameraWatch
from neon_ros.sense.stream import Newest, RateLimit
from neon_ros_msgs.msg import AudioChunk
from neon_ros_msgs.msg import Features as FeaturesMsg

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

PATIENCE = 3
"""Pictures in a row for which memory runs out before the node goes INACTIVE."""
_OPTIONS = ("path", "precision", "device", "compiled", "threads")


class BackboneNode(Reporting, LifecycleNode):
    """Subscribe ``image`` (or ``image/compressed``), ``instruction`` and, for a model that hears, ``audio``.

    Publish ``features/backbone`` and, with ``reply``, what the model says on ``speech``.
    """

    _looking: Looking | None = None
    _thinking: Thinking | None = None
    _lost = _told_lost = 0

    def __init__(self) -> None:
        super().__init__("backbone")
        try:
            self.config = declare(self, BackboneParameters)
        except NeonError:
            self.destroy_node()
            raise
        self.start_reporting()
        self._sound: SoundSince | None = None
        self._active, self._short = False, 0
        self._obstacle, self._doing = "", ""
        self._error: Exception | None = None
        self._heard: list[Any] = []
        self._features = self.create_publisher(FeaturesMsg, topics.features_topic("backbone"), topics.SENSOR_OUT)
        self._speech = self.create_publisher(String, topics.SPEECH, topics.EVERY_OUT) if self.config.reply else None
        if self.config.autoactivate:
            self._doing = "starting"
            self._begin = self.create_timer(0.0, self._go)

    # lifecycle --------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the weights, read the words at the start, and warm up."""
        config = self.config
        given = {name: value for name in _OPTIONS if (value := getattr(config, name))}
        self._obstacle, self._error, self._short = "", None, 0
        try:
            self._progress(f"loading {config.backbone}")
            thinks = config.reply or config.reason_every > 0
            looking = Looking(load(config.backbone, self._progress, **given, **({"answers": True} if thinks else {})))
            if thinks:
                settings = (config.reply, config.reason_every, config.answer_pieces)
                self._thinking = Thinking(looking.backbone, *settings)
            if config.instruction:
                looking.tell(config.instruction)
                if self._thinking is not None:
                    self._thinking.told()
            looking.warm_up(config.warm_up, config.rate, self._progress)
        except Exception as error:  # rclpy would drop it; _go raises it again
            self._doing, self._obstacle, self._error = "", str(error) or type(error).__name__, error
            self.get_logger().error(f"stays inactive: {self._obstacle}")
            self._report_health()
            return TransitionCallbackReturn.FAILURE
        self._doing, self._looking, self.model_id = "", looking, looking.backbone.model_id
        gc.collect()
        gc.freeze()  # a model has 100,000 objects, which no collection at work need look at again
        self.get_logger().info(f"ready: {self.model_id}")
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen from now on."""
        config = self.config
        self._newest, self._limit = Newest("image"), RateLimit(config.rate)
        self._camera = CameraWatch(config.frozen_timeout)
        self._obstacle, self._short, self._active = "", 0, True
        self.health.heard = time.monotonic() + START_GRACE
        kind: Any = Image
        topic, read = topics.IMAGE, image_from_msg
        if config.image_transport == "compressed":
            # As image_transport does: the name after remapping, with the transport behind it.
            kind, topic, read = CompressedImage, f"{self.resolve_topic_name(topic)}/compressed", picture_from_msg
        on_image = self.guarded(lambda msg: self._on_picture(read(msg)))
        lost = SubscriptionEventCallbacks(message_lost=self._on_lost)
        self._heard = [self.create_subscription(kind, topic, on_image, topics.SENSOR_IN, event_callbacks=lost)]
        # Latched for whoever spoke before this node came up, volatile for a plain `ros2 topic pub`.
        for qos in (topics.LATCHED, topics.EVERY_IN):
            on_words = self.guarded(self._on_instruction)
            self._heard.append(self.create_subscription(String, topics.INSTRUCTION, on_words, qos))
        self._sound = SoundSince() if self._looking is not None and self._looking.hears else None
        if self._sound is not None:
            on_audio = self.guarded(self._on_audio)
            self._heard.append(self.create_subscription(AudioChunk, topics.AUDIO, on_audio, topics.AUDIO_IN))
        self.watch("image", config.image_timeout)
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Look no more; the weights stay."""
        self._active, self._watched = False, None
        for subscription in self._heard:
            self.destroy_subscription(subscription)
        self._heard = []
        if self._thinking is not None:
            self._thinking.drop()
        if self._looking is not None:
            self._looking.forget()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the weights."""
        self._let_go()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Look no more and let go of the weights."""
        self._active = False
        self._let_go()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """End the answer in the making, then the node."""
        self._let_go()
        super().destroy_node()

    def _let_go(self) -> None:
        if self._thinking is not None:
            self._thinking.close()
        self._looking = self._thinking = None

    def _go(self) -> None:
        """Go through the lifecycle once, when nobody else does.

        :raises NeonError: when configuration or weights are refused for another reason than memory.
        """
        self.destroy_timer(self._begin)
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()
        elif self._error is not None and not isinstance(self._error, MemoryShort):
            raise self._error

    # at work ----------------------------------------------------------------------------------------------------

    def busy(self) -> str:
        """Return what comes before the first picture."""
        return self._doing

    def error(self) -> str:
        """Return why the node is not active."""
        return f"inactive: {self._obstacle}" if self._obstacle else ""

    def facts(self) -> dict[str, str]:
        """Return the words in force."""
        looking = self._looking
        words = {"instruction": (looking.instruction if looking else "") or "(none)"}
        words["pictures lost"] = str(self._lost)
        return words if looking is None or self._thinking is None else {**words, "reasoning": looking.reasoning}

    def problem(self) -> str:
        """Return that pictures did not arrive whole, or that none come."""
        new, self._told_lost = self._lost - self._told_lost, self._lost
        few = f"{new} pictures lost on the way in the last second, see docs/middleware.md" if new else ""
        return super().problem() or few

    def _on_lost(self, event: Any) -> None:
        self._lost += int(event.total_count_change)

    def _progress(self, doing: str) -> None:
        self._doing = doing
        self.get_logger().info(doing)
        self._report_health()

    def _on_instruction(self, msg: Any) -> None:
        if self._looking is not None and msg.data != self._looking.instruction:
            self._looking.tell(msg.data)
            if self._thinking is not None:
                self._thinking.told()
            self.get_logger().info(f"instruction: {msg.data}")

    def _on_audio(self, msg: Any) -> None:
        if self._sound is not None:
            self._sound.push(sound_from_msg(msg))

    def _on_picture(self, picture: Picture) -> None:
        if self._looking is None or not self._active:
            return
        self._newest.check(picture.stamp_ns)
        self._camera.check(picture.stamp_ns, picture.rgb)
        self.health.heard = time.monotonic()
        if not self._limit.passes(picture.stamp_ns):
            return
        started = time.perf_counter()
        try:
            tensors = self._looking.look(picture.stamp_ns, picture.rgb, self._sound)
        except MemoryShort as error:
            self._out_of_memory(error)
            raise
        self._short = 0
        self._features.publish(features_to_msg(Features(picture.stamp_ns, "backbone", self.model_id, tensors)))
        self.finished("backbone", picture.stamp_ns, started)
        if self._thinking is not None:
            thought = self._thinking.turn(picture.stamp_ns, self._looking.instruction)
            if thought is not None:
                self._take(thought)

    def _take(self, thought: Thought) -> None:
        """Speak a reply, give reasoning to the head.

        :raises ContractError: when there is nothing to speak, or no room beside the instruction.
        """
        if thought.refusal:
            raise ContractError(thought.refusal)
        self.get_logger().info(f"{thought.kind}: {thought.text}")
        if thought.kind == REASON and self._looking is not None:
            self._looking.reason(thought.text)
        elif self._speech is not None:
            self._speech.publish(String(data=thought.text))

    def _out_of_memory(self, error: MemoryShort) -> None:
        """Give up after a few times; who has made room activates the node again."""
        self._short += 1
        if self._short >= PATIENCE:
            self.get_logger().error(f"goes inactive: {error}")
            self.trigger_deactivate()
            self._obstacle = str(error)


main = main_of("backbone", BackboneNode)

if __name__ == "__main__":
    main()
