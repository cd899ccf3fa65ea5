"""Who says a sentence aloud: the robot, through a process of its own, or a synthesiser."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import sys
import threading
import wave
from pathlib import Path
from typing import Any

import numpy as np

from neon_ros.contracts import FloatArray
from neon_ros.errors import RobotError, refuse

MODULE = "neon_ros.motor.speaker"
"""The process that speaks the robot's DDS, which must not meet ROS in one process."""
ANSWER = 10.0
"""Longest wait for the robot to take a sentence, the start of the process included [s]."""
CHARACTERS = 14.0
"""Characters that a voice says in a second; the robot does not tell when it has finished."""


def duration(text: str) -> float:
    """Return how long a voice takes for a sentence, about [s]."""
    return 0.5 + len(text) / CHARACTERS


class RobotSpeaker:
    """The robot's own speaker, in a process that is started when there is something to say, and again when it died.

    :param arguments: of the process.
    """

    def __init__(self, *arguments: str) -> None:
        self._command = [sys.executable, "-m", MODULE, *arguments]
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def say(self, text: str) -> None:
        """Say a sentence; returns when the robot has taken it.

        :raises RobotError: when it has not, or does not answer.
        """
        process = self._running()
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(text) + "\n")
            process.stdin.flush()
            answer: Any = json.loads(self._answers.get(timeout=ANSWER))
        except (OSError, ValueError, queue.Empty) as error:
            self.close()
            got = f"no answer in {ANSWER:g} s" if isinstance(error, queue.Empty) else error or "its process ended"
            raise RobotError(refuse("the robot's speaker", got, "an answer")) from error
        if answer["error"]:
            raise RobotError(answer["error"])

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
            )
            self._answers = queue.Queue()
            threading.Thread(target=_copy, args=(self._process.stdout, self._answers), daemon=True).start()
        return self._process


def _copy(source: Any, answers: queue.Queue[str]) -> None:
    """Move lines into the queue until there are no more; an empty one tells that the process has ended."""
    for line in source:
        answers.put(line)
    answers.put("")


def wav_bytes(samples: FloatArray) -> bytes:
    """Return mono sound float32 (S,) as 16-bit samples."""
    return bytes((np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())


def write_wav(path: Path, samples: FloatArray, rate: int) -> None:
    """Write mono sound float32 (S,) as a 16-bit WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(wav_bytes(samples))


def player() -> str:
    """Return the program that plays sound here; empty when there is none or no sound card."""
    return (shutil.which("aplay") or "") if Path("/dev/snd").is_dir() else ""


def play(program: str, samples: FloatArray, rate: int) -> subprocess.Popen[bytes]:
    """Start playing mono sound float32 (S,); returns at once."""
    process = subprocess.Popen(
        [program, "-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", str(rate)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    threading.Thread(target=process.communicate, args=(wav_bytes(samples),), daemon=True).start()
    return process
