"""The import rules of docs/architecture.md, the size of modules and the words that may not be shipped."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "neon_ros"
FOUNDATION = {"contracts", "errors", "resources", "parameters", "numpy"}
MESSAGES = {
    *("builtin_interfaces", "diagnostic_msgs", "geometry_msgs", "lifecycle_msgs", "nav_msgs", "neon_ros_msgs"),
    *(
        "rcl_interfaces",
        "rosgraph_msgs",
        "sensor_msgs",
        "std_msgs",
        "std_srvs",
        "trajectory_msgs",
        "visualization_msgs",
    ),
}
EVERY_ROOM = {
    "robot",
    "sense",
    "guard",
    "motor",
    "encode",
    "act",
    "sim",
    "learn",
    "data",
    "show",
    "speech",
    "graph",
    "arguments",
}
PURE_FILES = {"yaml", "PIL", "safetensors"}  # readers and writers of files, without a runtime of their own
NETWORK = {"onnx", "onnxruntime", "google", "tokenizers"}  # google.protobuf is onnx's own

# room: (rooms of neon_ros it may import, third-party modules it may import)
RULES: dict[str, tuple[set[str], set[str]]] = {
    "robot": (set(), {"fastcrc"}),
    "sense": ({"robot"}, {"PIL"}),
    "guard": ({"robot"}, {"ruckig"}),
    "motor": ({"robot", "guard"}, {"fastcrc"}),
    "encode": ({"robot", "sense"}, NETWORK | PURE_FILES),
    "act": ({"robot", "encode"}, NETWORK | PURE_FILES),
    "sim": ({"robot", "motor", "sense"}, {"mujoco", "trimesh", "fast_simplification", "onnxruntime", *PURE_FILES}),
    "learn": (EVERY_ROOM, {"torch", "mujoco", "onnxscript", "matplotlib", *NETWORK, *PURE_FILES}),
    "chaos": ({"robot", "guard", "motor", "graph", "act", "bridge", "respawn"}, {"rclpy", *MESSAGES}),
    "data": ({"robot", "sense"}, {"mcap", "zstandard", *PURE_FILES}),
    "speech": ({"sense", "encode"}, {"ctranslate2", "tokenizers", "onnxruntime"}),
    "show": ({"robot", "sense"}, {"viser", "websockets", "trimesh", "fast_simplification", *PURE_FILES}),
    "bridge": (EVERY_ROOM - {"learn", "motor", "sim"}, {"rclpy", *MESSAGES}),
    "nodes": (EVERY_ROOM - {"learn"} | {"bridge"}, {"rclpy", *MESSAGES}),
    "cli": (EVERY_ROOM | {"bridge", "chaos", "nodes", "cli", "respawn"}, {"rclpy", "mujoco", *MESSAGES, *PURE_FILES}),
    "arguments": (set(), set()),
    "graph": ({"guard", "arguments"}, {"yaml"}),
    "launching": (
        {"graph", "arguments", "resources", "respawn", "robot"},
        {"launch", "launch_ros", "ament_index_python"},
    ),
    "respawn": (set(), set()),
    "contracts": (set(), set()),
    "errors": (set(), set()),
    "resources": (set(), set()),
    "parameters": (set(), {"yaml"}),
    "__init__": (set(), set()),
}
# Modules that only the named files (or folders) may import.
ONLY_IN = {
    "torch": ("encode/networks.py", "encode/backbones/foundation/", "act/networks/", "learn/"),
    "huggingface_hub": ("encode/backbones/foundation/",),
    "transformers": ("encode/backbones/foundation/",),
    "torchao": ("encode/backbones/foundation/precision.py",),
    "bitsandbytes": ("encode/backbones/foundation/precision.py",),
    "cyclonedds": ("motor/link.py", "motor/rpc.py"),
    "unitree_sdk2py": ("motor/link.py", "motor/rpc.py"),
    "rclpy": ("bridge/", "nodes/", "cli/", "chaos/policy.py", "chaos/peer.py"),
    "neon_ros_msgs": ("bridge/", "nodes/", "cli/", "chaos/policy.py", "chaos/peer.py"),
}
FORBIDDEN = re.compile(
    r"\b(import pickle\b|pickle\.loads?|torch\.load|yaml\.load\b|trust_remote_code|NotImplementedError|TODO|FIXME)"
)
MODULES = sorted(PACKAGE.rglob("*.py"))
PROCESSES = dict(re.findall(r'"(\w+)": "(neon_ros\.[\w.]+)"', (ROOT / "setup.py").read_text(encoding="utf-8")))


def name_of(path: Path) -> str:
    """Return the dotted name of a module or package."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


KNOWN = {name_of(path): path for path in MODULES}


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted names a module imports, at its top or in a function, but not for type checkers alone."""
    queue: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"), str(path))]
    while queue:
        node = queue.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            queue.extend(node.orelse)
            continue
        queue.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}:{node.lineno}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in KNOWN else node.module


def closure(module: str) -> set[str]:
    """Return every module that importing ``module`` may bring into the process, its packages' __init__ included."""
    seen: set[str] = set()
    queue = [module]
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in KNOWN:
            queue.extend(name.rsplit(".", 1)[:1] if "." in name else [])
            queue.extend(imports(KNOWN[name]))
    return seen


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_only_what_its_room_may(path: Path) -> None:
    relative = path.relative_to(PACKAGE).as_posix()
    room = relative.split("/")[0].removesuffix(".py")
    assert room in RULES, f"neon_ros/{room} is not a room of docs/architecture.md"
    rooms, packages = RULES[room]
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "neon_ros":
            target = rest.split(".")[0]
            allowed = rooms | FOUNDATION | {room, "", "__init__"}
            assert target in allowed, f"{relative} imports neon_ros.{target}; {room} may import {sorted(rooms)}"
        elif top in ONLY_IN:
            assert relative.startswith(ONLY_IN[top]), f"{relative} imports {top}; only {ONLY_IN[top]} may"
        elif top not in sys.stdlib_module_names:
            assert top in packages | FOUNDATION, f"{relative} imports {top}; {room} may import {sorted(packages)}"


PROCESSES |= {
    f"chaos {name}": f"neon_ros.chaos.{name}"
    for name in ("bare", "hooked", "loading", "peer", "policy", "rogue", "stub")
}


@pytest.mark.parametrize("process", sorted(PROCESSES))
def test_no_process_holds_rclpy_and_the_robots_dds(process: str) -> None:
    module = PROCESSES[process]
    assert module in KNOWN, f"{process}: {module} does not exist"
    tops = {name.split(".")[0] for name in closure(module)}
    sdk = tops & {"cyclonedds", "unitree_sdk2py"}
    assert not (sdk and "rclpy" in tops), f"{module} brings in rclpy and {sorted(sdk)}"
    if process in ("motor", "guardian"):
        assert not tops & {"rclpy", "torch", "onnxruntime"}, f"{module} must stay small"


def test_the_default_pipeline_needs_no_torch() -> None:
    for process, module in PROCESSES.items():
        assert "torch" not in {name.split(".")[0] for name in closure(module)}, process


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_is_short_and_holds_no_forbidden_word(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert not FORBIDDEN.search(text), FORBIDDEN.search(text)


def test_the_table_in_the_docs_names_every_room() -> None:
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(\w+)[/.]", table, re.MULTILINE))
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert documented >= rooms - {"cli"}, sorted(rooms - documented)
