"""The in-tree build backend of msg/: where it finds ROS 2, what it packs and what it says when something is missing."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "msg"


@pytest.fixture
def backend() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wheel_backend", SOURCE / "wheel_backend.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ros(prefix: Path, backend: ModuleType) -> Path:
    """Make ``prefix`` look like an installation that can generate interfaces."""
    marker = prefix / backend.GENERATORS
    marker.parent.mkdir(parents=True)
    marker.touch()
    return prefix


def test_the_wheels_of_the_environment_come_before_a_sourced_ros(
    backend: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sourced = ros(tmp_path / "opt", backend)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "empty"))
    assert backend._dependency_prefixes({"AMENT_PREFIX_PATH": str(sourced)}) == [str(sourced)]
    monkeypatch.setattr(sys, "prefix", str(ros(tmp_path / "environment", backend)))
    assert backend._dependency_prefixes({"AMENT_PREFIX_PATH": str(sourced)}) == [str(tmp_path / "environment")]


@pytest.mark.parametrize(("variables", "got"), [({}, "not set"), ({"AMENT_PREFIX_PATH": "/nowhere"}, "/nowhere")])
def test_no_ros_is_refused_with_what_to_install(
    backend: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], got: str
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(backend.BuildError, match=f"AMENT_PREFIX_PATH is {got}; install the wheels .*ros-kilted-rclpy"):
        backend._dependency_prefixes(variables)


def test_a_missing_cmake_is_named(backend: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_dependency_prefixes", lambda environment: [sys.prefix])
    monkeypatch.setattr(backend.shutil, "which", lambda name, path: None)
    with pytest.raises(backend.BuildError, match="cmake was not found; `pip install cmake`"):
        backend._run_cmake(tmp_path / "build", tmp_path / "prefix")


def test_a_failing_step_is_named(backend: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cmake = tmp_path / "cmake"
    cmake.write_text('#!/bin/sh\n[ "$1" = --build ] && exit 3\nexit 0\n')
    cmake.chmod(0o755)
    monkeypatch.setattr(backend, "_dependency_prefixes", lambda environment: [sys.prefix])
    monkeypatch.setattr(backend.shutil, "which", lambda name, path: str(cmake))
    with pytest.raises(backend.BuildError, match="cmake build of neon_ros_msgs failed with exit code 3"):
        backend._run_cmake(tmp_path / "build", tmp_path / "prefix")


def test_the_wheel_puts_python_at_its_root_and_the_rest_under_the_prefix(backend: ModuleType, tmp_path: Path) -> None:
    site = Path(sysconfig.get_path("platlib")).relative_to(sys.prefix)
    written = {
        site / "neon_ros_msgs/__init__.py": b"",
        site / "neon_ros_msgs/__pycache__/x.pyc": b"x",
        site / "neon_ros_msgs-0.1.0-py3.11.egg-info/PKG-INFO": b"x",
        Path("lib/libneon_ros_msgs.so"): b"\x7fELF",
        Path("share/neon_ros_msgs/package.xml"): b"<package/>",
    }
    for path, content in written.items():
        (tmp_path / "prefix" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "prefix" / path).write_bytes(content)
    wheel = tmp_path / "x.whl"
    backend._pack(wheel, tmp_path / "prefix", "neon_ros_msgs", "0.1.0", "cp311-cp311-linux_x86_64")
    with zipfile.ZipFile(wheel) as archive:
        info, data = "neon_ros_msgs-0.1.0.dist-info", "neon_ros_msgs-0.1.0.data/data"
        assert set(archive.namelist()) == {
            "neon_ros_msgs/__init__.py",
            f"{data}/lib/libneon_ros_msgs.so",
            f"{data}/share/neon_ros_msgs/package.xml",
            *(f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD")),
        }
        recorded = dict(line.split(",")[:2] for line in archive.read(f"{info}/RECORD").decode().splitlines())
        for name, digest in recorded.items():
            if not name.endswith("RECORD"):
                actual = base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest()).rstrip(b"=").decode()
                assert digest == f"sha256={actual}"


def test_the_source_archive_holds_what_a_build_needs(backend: ModuleType, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / backend.build_sdist(str(tmp_path))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    messages = {f"msg/{path.name}" for path in (SOURCE / "msg").glob("*.msg")}
    assert names == {"CMakeLists.txt", "PKG-INFO", "package.xml", "pyproject.toml", "wheel_backend.py", *messages}


def test_metadata_needs_no_build(backend: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / backend.prepare_metadata_for_build_wheel(str(tmp_path))
    assert "Name: neon_ros_msgs\nVersion: " in (folder / "METADATA").read_text(encoding="utf-8")
    assert "Root-Is-Purelib: false" in (folder / "WHEEL").read_text(encoding="utf-8")
