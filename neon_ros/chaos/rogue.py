"""``python -m neon_ros.chaos.rogue``: a stranger on the robot's DDS who opens a writer of commands when asked to."""

from __future__ import annotations

import argparse
import time

from neon_ros.chaos.pipe import Questions, answer
from neon_ros.motor.link import Link


def main() -> None:
    """Answer ``{"write": topic}`` with the time at which the writer was there, until stdin ends."""
    parser = argparse.ArgumentParser(prog="neon_ros.chaos.rogue", description=__doc__)
    parser.add_argument("--domain", type=int, required=True)
    options = parser.parse_args()
    link = Link(options.domain, "lo")
    questions, writers = Questions(), []
    answer(ready=True)
    while not questions.closed:
        for question in questions.wait(0.05):
            moment = time.monotonic_ns()
            if "write" in question:
                writers.append(link.low_cmd_writer(question["write"]))
            answer(at=moment)


if __name__ == "__main__":
    main()
