"""The errors of neon_ros.

Every error says the name of what is wrong, what was got and what is allowed, so that an operator can
mend it without reading code.  ``refuse`` builds that sentence in one place.
"""

from __future__ import annotations


class NeonError(Exception):
    """Base of every error that neon_ros raises on purpose."""


class ContractError(NeonError, ValueError):
    """Data that crosses a door (message, array, file) does not have the agreed form."""


class ConfigError(NeonError, ValueError):
    """A parameter or configuration value is unknown, of a wrong type or out of range."""


class CheckpointError(NeonError):
    """A model file is missing, truncated, altered or made for something else."""


class RobotError(NeonError):
    """The robot (or simulator) is silent, of an unknown variant, or refuses to be commanded."""


class Refused(NeonError):
    """A request (arm, admit, switch) was understood and refused; nothing has changed."""


def refuse(name: str, got: object, allowed: object) -> str:
    """Return the house sentence for a refused value.

    :param name: what was being read, in the user's words.
    :param got: what arrived.
    :param allowed: what would have been accepted.
    """
    text = str(got)
    if len(text) > 200:
        text = f"{text[:200]}… ({len(text)} characters)"
    return f"{name}: got {text}; allowed: {allowed}"
