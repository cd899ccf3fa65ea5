"""The panel of the browser view: words, buttons, plots; every button only asks, and shows the answer in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neon_ros.robot.joints import JOINT_INDEX, JOINT_NAMES
from neon_ros.robot.modes import MODES
from neon_ros.show.palette import BLUE, DARK
from neon_ros.show.panel import latency_markdown, plain
from neon_ros.show.scrub import SECONDS
from neon_ros.show.trail import Window

if TYPE_CHECKING:
    import viser

PLOTTED = ("left_shoulder_pitch_joint", "right_shoulder_pitch_joint")
PLOT_SECONDS = 8.0
LEGEND = """
- **translucent arms**: where the chunk ends
- **broad line**, dark now and light at the end: where palms and chest will be; *left*, *right* and the time stand there
- **grey dashes**: the chunk before
- **broadest, short line** (orange): where the guard fades from the one to the other
- **thin dark line**: where a palm was commanded to be; **broad light-blue line**: where it was
- **upright tick with words**: a limit acts on that joint, and which
- **arrow at the hips**: base velocity, one second of it
- **points**: LiDAR, dark low and green high
"""
_NO_CHANGE = "as it is"


class Operator(Protocol):
    """Who carries out what is pressed.  Nothing here may wait: the answer comes through ``answered``."""

    def say(self, text: str, answered: Callable[[str], None]) -> None:
        """Tell the robot what to do."""

    def ask(self, kind: str, value: str, answered: Callable[[str], None]) -> None:
        """Ask for ``arm``, ``disarm``, ``stop``, ``mode``, ``head`` or ``record``.

        :param value: of a mode; of a head, with the folder of its checkpoint after a space where it is not the one
            that ships; ``on`` or ``off`` for a recording.
        :param answered: takes what to tell the operator, now or later, from any thread.
        """


class Panel:
    """The controls; text and plots are set by the view, what is pressed goes to ``operator``."""

    def __init__(self, server: viser.ViserServer, operator: Operator, heads: Sequence[str]) -> None:
        self._gui, self._operator = server.gui, operator
        self._said: dict[int, object] = {}
        gui = server.gui
        gui.configure_theme(show_logo=False, show_share_button=False)
        gui.set_panel_label("neon_ros")
        self.status = gui.add_markdown("waiting for the first report")
        arming = gui.add_button_group("Robot", ("Arm", "Disarm"))
        arming.on_click(lambda event: self.ask(str(event.target.value).lower(), ""))
        self.answer = gui.add_markdown("")
        with gui.add_form("Instruction") as form:
            self._box = gui.add_text("Say", "touch the red cube with your left hand")
            send = gui.add_button("Send (Enter)")
        form.on_submit(self._send)
        send.on_click(self._send)
        self.said = gui.add_markdown("")
        self.camera = gui.add_image(
            np.zeros((120, 212, 3), np.uint8), label="Head camera", format="jpeg", jpeg_quality=80
        )
        with gui.add_folder("What is drawn", expand_by_default=False):
            gui.add_markdown(LEGEND)
        with gui.add_folder("Last 30 s", expand_by_default=False):
            self.back = gui.add_slider("Seconds ago", min=0.0, max=SECONDS, step=0.1, initial_value=0.0)
            self.scrub_text = gui.add_markdown("live; move the slider to go back")
            gui.add_button("Back to live").on_click(lambda _: setattr(self.back, "value", 0.0))
        with gui.add_folder("Command and measurement", expand_by_default=False):
            self.plots = [self._add_plot(joint) for joint in PLOTTED]
        with gui.add_folder("Guard", expand_by_default=False):
            self.guard = gui.add_markdown("no report yet")
        with gui.add_folder("Latency", expand_by_default=False):
            self.latency = gui.add_markdown(latency_markdown({}))
        with gui.add_folder("Policy", expand_by_default=False):
            self.policy = gui.add_markdown("no chunk yet")
            mode = gui.add_dropdown("Mode", (_NO_CHANGE, *MODES), hint="while INACTIVE")
            self._asks_for("mode", gui.add_button("Set mode"), mode)
            head = gui.add_dropdown("Head", (_NO_CHANGE, *heads), hint="takes over while everything runs")
            checkpoint = gui.add_text("Checkpoint", "", hint="its folder; empty for the one that ships")
            self._asks_for("head", gui.add_button("Set head"), head, checkpoint)
            self.policy_answer = gui.add_markdown("")
        with gui.add_folder("Recording", expand_by_default=False):
            recording = gui.add_button_group("Record", ("Start", "Stop"))
            recording.on_click(lambda event: self.ask("record", "on" if event.target.value == "Start" else "off"))
            self.record_answer = gui.add_markdown("")

    def put(self, handle: Any, text: str) -> None:
        """Set the content of a text, where it differs."""
        if self._said.get(id(handle)) != text:
            self._said[id(handle)] = text
            handle.content = text

    def ask(self, kind: str, value: str) -> None:
        """Ask the operator's door, and show the answer beside the button that was pressed."""
        place = {"record": self.record_answer, "mode": self.policy_answer, "head": self.policy_answer}
        where = place.get(kind, self.answer)
        what = f"{kind} {value}".strip()
        self.put(where, f"{plain(what)}: asked")
        self._operator.ask(kind, value, lambda text: self.put(where, f"{plain(what)}: {plain(text)}"))

    def plot(self, window: Window) -> None:
        """Draw the chosen joints."""
        for chosen, chart in self.plots:
            joint = JOINT_INDEX[f"{chosen.value}_joint"]
            measured, commanded = window.measured[:, joint], window.commanded[:, joint]
            chart.data = (window.ages, np.rad2deg(measured), np.rad2deg(commanded))

    def _send(self, _: object) -> None:
        text = str(self._box.value)
        self.put(self.answer, f"instruction: sent “{plain(text)}”")
        self._operator.say(text, lambda answer: self.put(self.answer, plain(answer)))

    def _asks_for(self, kind: str, button: Any, choice: Any, folder: Any = None) -> None:
        def pressed(_: object) -> None:
            if choice.value and choice.value != _NO_CHANGE:
                where = "" if folder is None else str(folder.value).strip()
                self.ask(kind, f"{choice.value} {where}".strip())

        button.on_click(pressed)

    def _add_plot(self, joint: str) -> tuple[Any, Any]:
        names = tuple(name.removesuffix("_joint") for name in JOINT_NAMES)
        chosen = self._gui.add_dropdown("Joint", names, initial_value=joint.removesuffix("_joint"))
        empty: NDArray[np.float64] = np.zeros(0)
        series = (
            {"label": "s"},
            {"label": "measured deg", "stroke": _css(BLUE), "width": 3},
            {"label": "commanded deg", "stroke": _css(DARK), "width": 1.5, "dash": (6, 4)},
        )
        chart = self._gui.add_uplot((empty, empty, empty), series, height=150, scales={"x": {"time": False}})
        return chosen, chart


def _css(rgb: tuple[int, int, int]) -> str:
    return f"rgb{rgb}"
