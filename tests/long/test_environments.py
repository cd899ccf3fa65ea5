"""The code in other environments: ROS 2 Jazzy instead of Kilted, and numpy alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parents[2]


def interpreter(version: str) -> str | None:
    """Return a Python of this version that runs: one on the PATH, or one of pyenv's."""
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for path in (shutil.which(f"python{version}"), *map(str, pyenv)):
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    return None


class Environment:
    """A virtual environment of its own; commands in it see nothing of the one that runs the tests."""

    def __init__(self, folder: Path, base: str = sys.executable) -> None:
        subprocess.run([base, "-m", "venv", str(folder)], check=True)
        self.python = folder / "bin" / "python"
        hidden = ("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH", "PYTHONPATH", "VIRTUAL_ENV")
        self.variables = {name: text for name, text in os.environ.items() if name not in hidden}
        self.variables["PATH"] = os.pathsep.join((str(folder / "bin"), os.environ["PATH"]))

    def run(self, *arguments: str, timeout: float = 1200.0) -> str:
        """Run ``python`` with arguments in the repository and return its output; fail the test when it fails."""
        done = subprocess.run(
            [str(self.python), *arguments],
            cwd=ROOT,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout[-6000:]}"
        return done.stdout

    def install(self, *arguments: str) -> None:
        self.run("-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-warn-conflicts", *arguments)


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="the wheels are for x86_64 Linux")
def test_messages_bridge_and_nodes_work_over_jazzy(tmp_path: Path) -> None:
    jazzy = Environment(tmp_path / "jazzy")
    pinned = ("-c", "requirements/constraints.txt")
    jazzy.install(*pinned, ".[ros-jazzy,sim,view,robot,test]")
    jazzy.install(
        "--no-deps", "--require-hashes", *(f"-rrequirements/{name}.txt" for name in ("sim", "compact", "dds"))
    )
    jazzy.install("--no-build-isolation", "--no-deps", "./msg")
    program = "import rclpy, importlib.metadata as m; print(m.version('ros-jazzy-rclpy'), rclpy.__file__)"
    assert str(tmp_path) in jazzy.run("-c", program)
    with_ros = [path for path in sorted((ROOT / "tests" / "system").glob("test_*.py")) if "rclpy" in path.read_text()]
    folders = [ROOT / "tests" / "unit" / room for room in ("bridge", "nodes", "graph")]
    present = [str(path.relative_to(ROOT)) for path in (*with_ros, *folders) if path.exists()]
    report = jazzy.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *present)
    assert " passed" in report


def test_the_unit_tests_need_numpy_alone(tmp_path: Path) -> None:
    plain = Environment(tmp_path / "plain")
    plain.install("-c", "requirements/constraints.txt", "numpy", "pytest", "hypothesis")
    report = plain.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit")
    assert " passed" in report


@pytest.mark.parametrize("version", ["3.10", "3.12"])
def test_the_unit_tests_pass_on_every_supported_python(tmp_path: Path, version: str) -> None:
    base = interpreter(version)
    if base is None:
        pytest.skip(f"python{version} is not installed")
    other = Environment(tmp_path / version, base)
    other.install("-c", "requirements/constraints.txt", ".[test]")
    report = other.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit")
    assert " passed" in report
