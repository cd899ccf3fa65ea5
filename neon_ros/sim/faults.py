"""What can be asked to go wrong with the simulated robot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from neon_ros.errors import ConfigError, refuse
from neon_ros.robot.joints import JOINT_INDEX
from neon_ros.robot.remote import BUTTONS

_TRUTH = {"true": True, "false": False}
LOW_STATE_FAULTS: tuple[str, ...] = ("ok", "lost", "frozen", "corrupt")


@dataclass(frozen=True)
class Faults:
    """Everything that is wrong at present; the default is a healthy robot.

    :param lowstate: ``lost``: none is sent; ``frozen``: the same frame, tick included, again and again; ``corrupt``: a
        bit is flipped after the CRC was computed.
    :param loss: share of LowState frames that are dropped at random, 0 to 1.
    :param hot_joint: name of the joint whose motor is hot; empty for none.
    :param temperature: of that motor's winding [deg C].
    :param faulty_joint: name of the joint whose motor reports ``motorstate``; empty for none.
    :param motorstate: fault bits of that motor, see :mod:`neon_ros.robot.faults`.
    :param charge: of the battery [%]; -1 for a robot that says nothing of its battery.
    :param buttons: held down on the wireless remote, such as ``L2+B``; empty for a remote that is switched off.
    :param blocked_joint: name of the joint that is jammed; empty for none.
    :param tilt: roll of the whole robot [rad].
    :param mode_machine: what the robot says it is, and demands of commands; 0 for what it is.
    :param powered: ``False`` switches it off: no topics, no services, no torque.
    """

    lowstate: str = "ok"
    loss: float = 0.0
    hot_joint: str = ""
    temperature: float = 120.0
    faulty_joint: str = ""
    motorstate: int = 0x1
    charge: int = 80
    buttons: str = ""
    blocked_joint: str = ""
    tilt: float = 0.0
    mode_machine: int = 0
    powered: bool = True

    def __post_init__(self) -> None:
        if self.lowstate not in LOW_STATE_FAULTS:
            raise ConfigError(refuse("fault lowstate", self.lowstate, ", ".join(LOW_STATE_FAULTS)))
        for name in ("hot_joint", "faulty_joint", "blocked_joint"):
            joint = getattr(self, name)
            if joint and joint not in JOINT_INDEX:
                raise ConfigError(refuse(f"fault {name}", joint, f"empty or one of {', '.join(JOINT_INDEX)}"))
        for name, low, high in (("loss", 0.0, 1.0), ("temperature", -40.0, 300.0), ("tilt", -np.pi, np.pi)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ConfigError(refuse(f"fault {name}", value, f"{low:g} to {high:g}"))
        for name, low, high in (("mode_machine", 0, 255), ("motorstate", 0, 2**32 - 1), ("charge", -1, 100)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(refuse(f"fault {name}", value, f"{low} to {high}"))
        unknown = [name for name in self.held if name not in BUTTONS]
        if unknown:
            raise ConfigError(refuse("fault buttons", self.buttons, f"names joined by +, among {', '.join(BUTTONS)}"))
        if not isinstance(self.powered, bool):
            raise ConfigError(refuse("fault powered", self.powered, "true or false"))

    @property
    def held(self) -> tuple[str, ...]:
        """Return the names of the buttons that are held down."""
        return tuple(self.buttons.split("+")) if self.buttons else ()

    @staticmethod
    def from_words(words: Sequence[str]) -> Faults:
        """Return the faults that words such as ``lowstate=lost`` ask for; no words, no faults.

        :raises ConfigError: on an unknown name, a word without ``=``, or a value that the fault does not allow.
        """
        kinds: dict[str, type] = {name: type(value) for name, value in asdict(Faults()).items()}
        values: dict[str, object] = {}
        for word in words:
            name, equals, text = word.partition("=")
            if not equals or name not in kinds:
                raise ConfigError(refuse("fault", word, f"name=value with a name among {', '.join(kinds)}"))
            kind = kinds[name]
            try:
                values[name] = _TRUTH[text.lower()] if kind is bool else int(text, 0) if kind is int else kind(text)
            except (KeyError, ValueError):
                allowed = "true or false" if kind is bool else f"a value of type {kind.__name__}"
                raise ConfigError(refuse(f"fault {name}", text, allowed)) from None
        return Faults(**values)  # type: ignore[arg-type]
