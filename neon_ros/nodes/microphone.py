"""Node ``microphone``: the G1's own microphones, which its control board sends as UDP, on the topic ``audio``."""

from __future__ import annotations

import threading
import time

from neon_ros.bridge import topics
from neon_ros.bridge.audio import sound_to_msg
from neon_ros.errors import ContractError
from neon_ros.nodes.runtime import main_of
from neon_ros.nodes.stage import Stage
from neon_ros.parameters import MicrophoneParameters
from neon_ros.sense.audio import RATE
from neon_ros.sense.microphone import LARGEST, duration_ns, open_socket, samples_of
from neon_ros_msgs.msg import AudioChunk


class MicrophoneNode(Stage[MicrophoneParameters]):
    """Publish ``audio``."""

    def __init__(self) -> None:
        super().__init__("microphone", MicrophoneParameters)

    def setup(self, config: MicrophoneParameters) -> None:
        """Join the robot's multicast group, then listen."""
        self._socket = open_socket(config.interface)
        self._audio = self.create_publisher(AudioChunk, topics.AUDIO, topics.EVERY_OUT)
        self.watch("microphone", config.timeout)
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="microphone", daemon=True)
        self._thread.start()

    def destroy_node(self) -> None:
        """Leave the group, then end the node."""
        if hasattr(self, "_thread"):  # else it was refused before it could listen
            self._leaving.set()
            self._thread.join(timeout=1.0)
            self._socket.close()
        super().destroy_node()

    def _listen(self) -> None:
        """Publish what arrives until the node ends."""
        end_ns = 0
        while not self._leaving.is_set():
            try:
                samples = samples_of(self._socket.recv(LARGEST + 1))
            except TimeoutError:
                continue
            except ContractError as error:
                self.health.refused += 1
                self.health.last_refusal = str(error)
                continue
            started = time.perf_counter()
            self.health.heard = time.monotonic()
            # Two datagrams that arrive together were not captured together.
            begin_ns = max(self.get_clock().now().nanoseconds - duration_ns(samples), end_ns)
            end_ns = begin_ns + duration_ns(samples)
            self._audio.publish(sound_to_msg(begin_ns, "microphone", samples, RATE))
            self.finished("microphone", begin_ns, started)


main = main_of("microphone", MicrophoneNode)

if __name__ == "__main__":
    main()
