"""Where the browser view listens, and what to type to open it."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from neon_ros.errors import ConfigError, refuse
from neon_ros.show.gate import token_for


@dataclass(frozen=True)
class ViewConfig:
    """Where the view listens and how often it is refreshed.

    :param host: address to listen on; anything but loopback lets the network see and operate the robot, with a token.
    :param port: TCP port, 1024 to 65535.
    :param rate: scene refreshes per second [Hz].
    :param token: what a visitor must know; empty for none on loopback and a random one beyond.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    rate: float = 20.0
    token: str = ""

    def __post_init__(self) -> None:
        if not 1024 <= self.port <= 65535:
            raise ConfigError(refuse("view port", self.port, "1024 to 65535"))
        if not 1.0 <= self.rate <= 60.0:
            raise ConfigError(refuse("view rate", self.rate, "1 to 60 Hz"))
        token_for(self.host, self.token)

    def address(self, token: str) -> str:
        """Return what to open in a browser.

        :param token: that the page asks for; empty for none.
        """
        shown = self.host if self.host not in ("0.0.0.0", "::") else socket.gethostname()
        return f"http://{shown}:{self.port}" + (f"/?token={token}" if token else "")


def refuse_taken_port(config: ViewConfig) -> None:
    """Refuse an address that somebody listens on; viser would take the next port and say nothing.

    :raises ConfigError: naming it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError as error:
            got = f"{config.host}:{config.port} ({error.strerror})"
            raise ConfigError(refuse("view address", got, "a free port, e.g. port:=8081")) from error
