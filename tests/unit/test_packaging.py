"""One source for each fact of the packages: version, executables, messages and what is installed where."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import neon_ros
from neon_ros.contracts import ActionChunk, Features

ROOT = Path(__file__).resolve().parents[2]
SETUP = (ROOT / "setup.py").read_text(encoding="utf-8")
PROCESSES = dict(re.findall(r'"(\w+)": "(neon_ros\.[\w.]+)"', SETUP))


def manifest(path: str) -> ElementTree.Element:
    return ElementTree.parse(ROOT / path).getroot()


def fields(message: str) -> dict[str, str]:
    """Return field name -> type of a .msg file."""
    text = (ROOT / "msg" / "msg" / f"{message}.msg").read_text(encoding="utf-8")
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    return {parts[1]: parts[0] for parts in lines if parts}


def test_versions_agree() -> None:
    pytest.importorskip("setuptools")
    printed = subprocess.run(
        [sys.executable, "setup.py", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()[-1]
    assert printed == neon_ros.__version__
    assert manifest("package.xml").findtext("version") == neon_ros.__version__
    assert manifest("msg/package.xml").findtext("version") == neon_ros.__version__


@pytest.mark.parametrize("process", sorted(PROCESSES))
def test_executable_names_a_module_with_main(process: str) -> None:
    text = (ROOT / (PROCESSES[process].replace(".", "/") + ".py")).read_text(encoding="utf-8")
    body = ast.parse(text).body
    assigned = {ast.unparse(target) for node in body if isinstance(node, ast.Assign) for target in node.targets}
    assert "main" in assigned | {node.name for node in body if isinstance(node, ast.FunctionDef)}
    assert '__name__ == "__main__"' in text, "`python -m` starts it too"


def test_neon_has_a_main() -> None:
    assert callable(importlib.import_module("neon_ros.cli").main)


def test_colcon_and_pip_install_different_executables() -> None:
    pytest.importorskip("setuptools")

    def scripts(command: str) -> str:
        program = (
            "import sys, setuptools; setuptools.setup = lambda **k: print(k['entry_points'], k['data_files']);"
            f"sys.argv = ['setup.py', '{command}']; __file__ = 'setup.py';"
            "exec(compile(open('setup.py').read(), 'setup.py', 'exec'))"
        )
        return subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout

    colcon, pip = scripts("install"), scripts("bdist_wheel")
    assert all(f"{name} = {module}:main" in colcon for name, module in PROCESSES.items())
    assert "('bin', ['resource/neon'])" in colcon
    assert "neon = neon_ros.cli:main" in pip
    assert "neon_ros.nodes" not in pip and "resource/neon'" not in pip


def test_a_colcon_installation_has_every_executable() -> None:
    prefixes = [Path(entry) for entry in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if entry]
    found = [prefix for prefix in prefixes if (prefix / "lib" / "neon_ros").is_dir()]
    if not found:
        pytest.skip("no colcon workspace is sourced")
    assert {path.name for path in (found[0] / "lib" / "neon_ros").iterdir()} >= set(PROCESSES)
    assert (found[0] / "bin" / "neon").is_file()
    shared = found[0] / "share" / "neon_ros"
    assert all((shared / entry).exists() for entry in ("package.xml", "LICENSE", "NOTICE"))
    for folder in ("launch", "config", "urdf"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert (shared / path.relative_to(ROOT)).exists(), path


def test_everything_the_package_needs_is_declared() -> None:
    """Compare the ROS packages imported in neon_ros with package.xml."""
    declared = {element.text for element in manifest("package.xml") if element.tag in ("depend", "exec_depend")}
    imported = set()
    for path in [*(ROOT / "neon_ros").rglob("*.py"), *(ROOT / "launch").rglob("*.py")]:
        imported |= set(
            re.findall(r"^\s*(?:from|import) (\w+_msgs|\w+_srvs|rclpy|launch\w*)\b", path.read_text(), re.M)
        )
    assert imported <= declared, sorted(imported - declared)


def test_interface_package_builds_every_message() -> None:
    cmake = (ROOT / "msg" / "CMakeLists.txt").read_text(encoding="utf-8")
    files = {f"msg/{path.name}" for path in (ROOT / "msg" / "msg").glob("*.msg")}
    assert set(re.findall(r"msg/\w+\.msg", cmake)) == files


def test_chunk_message_carries_the_contract() -> None:
    contract = {field.name for field in dataclasses.fields(ActionChunk)}
    message = fields("ActionChunk")
    assert set(message) == contract - {"stamp_ns"} | {"header", "valid_until", "horizon"}
    assert message["q"] == message["base_velocity"] == "float32[]"
    assert message["joint_names"] == "string[]"


def test_features_message_carries_the_contract() -> None:
    contract = {field.name for field in dataclasses.fields(Features)}
    assert set(fields("Features")) == contract - {"stamp_ns"} | {"header"}
    assert fields("Features")["tensors"] == "Tensor[]"
    assert fields("Tensor") == {"name": "string", "shape": "uint32[]", "data": "float32[]"}


def test_requirement_files_are_pinned_and_hashed() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
        for line in lines:
            assert re.match(r"(    --hash=sha256:[0-9a-f]{64}|[A-Za-z0-9-]+==\d[\w.]*)([; ]|$)", line), (
                f"{path.name}: {line}"
            )
        if path.name != "constraints.txt":
            assert sum("--hash" in line for line in lines) >= sum("==" in line for line in lines)
