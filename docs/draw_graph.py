"""Draw the graph of nodes and topics, as it runs: docs/images/graph.svg and graph.png.

    python docs/draw_graph.py [name:=value ...]      (needs Graphviz: apt-get install graphviz)

Brings up the simulated G1 on domains of its own, asks ROS who publishes and who reads what, and lets Graphviz lay it
out from left to right.  Nothing in the picture is written here but its colours.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

PICTURE = Path(__file__).parent / "images" / "graph"
ROS_DOMAIN, ROBOT_DOMAIN = "97", "98"
SILENT = ("/rosout", "/parameter_events", "/diagnostics", "/latency")
"""Topics that every node has; a sentence below the picture names them."""
LISTENERS = ("view", "recorder")
"""Nodes that read everything; drawn lighter, so that the way from sensor to command stands out."""
COMMAND = "/action_chunk"
"""The topic that leads to the motors."""
FONT = 'fontname="DejaVu Sans", fontsize=15'
SETTLED = 3.0  # [s] without a change until the graph counts as complete
BLUE, ORANGE, GREY, LIGHT = "#0072B2", "#D55E00", "#444444", "#AAAAAA"


class Ends(NamedTuple):
    """What one node publishes and reads: topic to type."""

    publishes: Mapping[str, str]
    reads: Mapping[str, str]


def drawn(nodes: Mapping[str, Ends]) -> dict[str, str]:
    """Return the topics to draw, with their types: those that some node publishes, without the silent ones."""
    found = {topic: kind for ends in nodes.values() for topic, kind in ends.publishes.items()}
    return {topic: kind for topic, kind in sorted(found.items()) if topic not in SILENT}


def groups(nodes: Mapping[str, Ends]) -> dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]]:
    """Return the topics to draw, together where the same nodes publish and the same nodes read them.

    :returns: (publishers, readers) to topics.
    """
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for topic in drawn(nodes):
        publishers = tuple(name for name, ends in sorted(nodes.items()) if topic in ends.publishes)
        readers = tuple(name for name, ends in sorted(nodes.items()) if topic in ends.reads)
        found.setdefault((publishers, readers), []).append(topic)
    return found


def as_dot(nodes: Mapping[str, Ends]) -> str:
    """Return the graph in Graphviz's language.

    What the reader of the chunks publishes comes back from the robot: those arrows are dashed and do not decide which
    column a node is in, and neither do those of the listeners.

    :param nodes: name to what it publishes and reads.
    """
    robots = {name for name, ends in nodes.items() if COMMAND in ends.reads and name not in LISTENERS}
    lines = [
        "digraph neon_ros {",
        f"  graph [rankdir=LR, nodesep=0.12, ranksep=0.2, {FONT}, margin=0.05, bgcolor=white, labelloc=b,"
        f' label="{_below(nodes)}"];',
        f'  node [{FONT}, height=0.3, margin="0.06,0.04"];',
        "  edge [arrowsize=0.6];",
    ]
    for name in sorted(nodes):
        fill, ink = (LIGHT, "black") if name in LISTENERS else (BLUE, "white")
        look = f'shape=box, style=filled, color="{fill}", fillcolor="{fill}", fontcolor={ink}'
        lines.append(f'  "node {name}" [label="{name}", {look}];')
    beside: list[str] = []
    for number, ((publishers, readers), topics) in enumerate(groups(nodes).items()):
        label = "".join(f"{topic.removeprefix('/')}\\l" for topic in topics)
        lines.append(f'  topic{number} [label="{label}", shape=box, style=rounded, color="{LIGHT}"];')
        back = bool(robots & set(publishers))
        if set(publishers) <= set(LISTENERS):
            beside += [f'"node {publishers[0]}"', f"topic{number}"]
        lines += [f'  "node {name}" -> topic{number} [{_look(name, topics, False)}];' for name in publishers]
        lines += [f'  topic{number} -> "node {name}" [{_look(name, topics, back)}];' for name in readers]
    return "\n".join([*lines, f"  {{ rank=same; {' '.join(beside)} }}", "}"]) + "\n"


def _look(name: str, topics: list[str], back: bool) -> str:
    """Return how the arrow between a node and a box of topics looks."""
    if name in LISTENERS:
        return f'color="{LIGHT}", constraint={"true" if COMMAND in topics else "false"}'
    if COMMAND in topics:
        return f'color="{ORANGE}", penwidth=2.5'
    return f'color="{GREY}"' + (", style=dashed, constraint=false" if back else "")


def _below(nodes: Mapping[str, Ends]) -> str:
    silent = [topic for topic in SILENT if any(topic in ends.publishes for ends in nodes.values())]
    names = ", ".join(topic.removeprefix("/") for topic in silent)
    return f"not drawn, because every node has them: {names}" if names else ""


def read_graph(domain: int, seconds: float) -> dict[str, Ends]:
    """Return the running graph of a ROS domain, once nothing has changed for a while.

    :param seconds: longest wait [s].
    """
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("draw_graph", context=context)
    deadline, since, last = time.monotonic() + seconds, time.monotonic(), None
    try:
        while time.monotonic() < deadline:
            graph = {}
            for name, space in node.get_node_names_and_namespaces():
                if name != node.get_name() and not name.startswith("_"):
                    published = node.get_publisher_names_and_types_by_node(name, space)
                    read = node.get_subscriber_names_and_types_by_node(name, space)
                    graph[name] = Ends(*({topic: kinds[0] for topic, kinds in part} for part in (published, read)))
            if graph != last:
                last, since = graph, time.monotonic()
            if len(graph) > 3 and time.monotonic() - since > SETTLED and "g1_command" in graph:
                return graph
            time.sleep(0.25)
    finally:
        node.destroy_node()
        context.try_shutdown()
    sys.exit(f"the graph did not settle within {seconds:g} s; last seen: {', '.join(last or {}) or 'nothing'}")


def write(text: str, picture: Path) -> None:
    """Let Graphviz draw ``picture`` as .svg and .png."""
    picture.parent.mkdir(parents=True, exist_ok=True)
    for kind, more in (("svg", ()), ("png", ("-Gdpi=110",))):
        target = picture.with_suffix(f".{kind}")
        subprocess.run(["dot", f"-T{kind}", *more, "-o", str(target)], input=text, text=True, check=True)
    # The SVG names the version of Graphviz; without it two runs make the same file.
    svg = picture.with_suffix(".svg")
    svg.write_text(re.sub(r"<!-- Generated by graphviz.*?-->\n", "", svg.read_text("utf-8"), flags=re.S), "utf-8")


def main() -> None:
    """Bring up, ask, draw, end."""
    if shutil.which("dot") is None:
        sys.exit("no dot; apt-get install graphviz")
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    ours = [f"ros_domain:={ROS_DOMAIN}", f"robot_domain:={ROBOT_DOMAIN}", "session:=draw_graph", "port:=8098"]
    script = "import sys; from neon_ros.cli import main; sys.exit(main())"
    graph = subprocess.Popen([sys.executable, "-c", script, "up", *ours, *sys.argv[1:]], stdout=subprocess.DEVNULL)
    try:
        nodes = read_graph(int(ROS_DOMAIN), 120.0)
    finally:
        graph.send_signal(signal.SIGINT)
        graph.wait(60)
    write(as_dot(nodes), PICTURE)
    print(*(PICTURE.with_suffix(kind) for kind in (".svg", ".png")))


if __name__ == "__main__":
    main()
