"""Build neon_ros_msgs as a Python wheel (PEP 517) with the CMakeLists.txt that colcon uses.

The interfaces are generated with the ROS 2 of the environment pip installs into: the registry's wheels when they are
there, otherwise a sourced ROS 2 (``AMENT_PREFIX_PATH``).  Everything CMake installs goes into the wheel's data scheme,
that is, under the prefix of the environment, where the ROS 2 wheels themselves live: no setup file has to be sourced.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
GENERATORS = Path("share/rosidl_default_generators/cmake/rosidl_default_generatorsConfig.cmake")
WHEELS = (
    "ros-kilted-rclpy ros-kilted-common-interfaces ros-kilted-ament-cmake ros-kilted-ament-package "
    "ros-kilted-rosidl-default-generators ros-kilted-rosidl-typesupport-fastrtps-c "
    "ros-kilted-rosidl-typesupport-fastrtps-cpp catkin_pkg"
)


class BuildError(RuntimeError):
    """The interface package cannot be built here; the message says what is missing."""


def build_wheel(
    wheel_directory: str, config_settings: Mapping[str, object] | None = None, metadata_directory: str | None = None
) -> str:
    """Generate, compile and pack the interfaces; return the file name of the wheel.

    :raises BuildError: when ROS 2, CMake or the compiler is missing or fails.
    """
    name, version = _identity()
    tag = _tag()
    with tempfile.TemporaryDirectory(prefix="neon_ros_msgs-") as scratch:
        prefix = Path(scratch) / "prefix"
        _run_cmake(Path(scratch) / "build", prefix)
        wheel = Path(wheel_directory) / f"{name}-{version}-{tag}.whl"
        _pack(wheel, prefix, name, version, tag)
    return wheel.name


def prepare_metadata_for_build_wheel(
    metadata_directory: str, config_settings: Mapping[str, object] | None = None
) -> str:
    """Write the ``.dist-info`` folder without building; return its name."""
    name, version = _identity()
    folder = Path(metadata_directory) / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    for file, text in _metadata(name, version, _tag()).items():
        (folder / file).write_text(text, encoding="utf-8")
    return folder.name


def build_sdist(sdist_directory: str, config_settings: Mapping[str, object] | None = None) -> str:
    """Pack the sources; return the file name of the archive."""
    name, version = _identity()
    base = f"{name}-{version}"
    archive = Path(sdist_directory) / f"{base}.tar.gz"
    files = ["CMakeLists.txt", "package.xml", "pyproject.toml", "wheel_backend.py"]
    files += sorted(str(path.relative_to(SOURCE)) for path in SOURCE.glob("msg/*.msg"))
    with tempfile.TemporaryDirectory(prefix="neon_ros_msgs-") as scratch, tarfile.open(archive, "w:gz") as tar:
        info = Path(scratch) / "PKG-INFO"
        info.write_text(_metadata(name, version, _tag())["METADATA"], encoding="utf-8")
        tar.add(info, f"{base}/PKG-INFO")
        for file in files:
            tar.add(SOURCE / file, f"{base}/{file}")
    return archive.name


def _identity() -> tuple[str, str]:
    """Return name and version from package.xml, which is where ROS 2 reads them."""
    root = ElementTree.parse(SOURCE / "package.xml").getroot()
    return str(root.findtext("name")), str(root.findtext("version"))


def _tag() -> str:
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return f"{python}-{python}-{platform}"


def _dependency_prefixes(environment: Mapping[str, str]) -> list[str]:
    """Return the prefixes that hold ROS 2: this environment's, or those of a sourced setup file.

    :raises BuildError: when neither can generate interfaces.
    """
    sourced = [entry for entry in environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if entry]
    for prefixes in ([sys.prefix], sourced):
        if any((Path(prefix) / GENERATORS).is_file() for prefix in prefixes):
            return prefixes
    raise BuildError(
        f"no ROS 2 to build neon_ros_msgs with: {sys.prefix} has no {GENERATORS} and AMENT_PREFIX_PATH is "
        f"{os.pathsep.join(sourced) or 'not set'}; install the wheels ({WHEELS}) or source a ROS 2 setup file"
    )


def _run_cmake(build: Path, prefix: Path) -> None:
    """Configure, build and install into ``prefix``.

    :raises BuildError: when CMake is missing or one of its steps fails.
    """
    environment = dict(os.environ)
    prefixes = _dependency_prefixes(environment)
    scripts = sysconfig.get_path("scripts")
    environment["PATH"] = os.pathsep.join((scripts, environment.get("PATH", os.defpath)))
    if prefixes == [sys.prefix]:
        environment.pop("PYTHONPATH", None)  # pip's build isolation hides the environment through it
        environment["AMENT_PREFIX_PATH"] = sys.prefix
    cmake = shutil.which("cmake", path=environment["PATH"])
    if cmake is None:
        raise BuildError("cmake was not found; `pip install cmake` or install it with the system's package manager")
    depth = Path(sysconfig.get_path("platlib")).relative_to(sys.prefix).parts  # lib/python3.x/site-packages
    up_to_lib = "/".join([".."] * len(depth))  # from <platlib>/neon_ros_msgs to lib
    configure = [
        *(cmake, "-S", str(SOURCE), "-B", str(build)),
        "-DCMAKE_BUILD_TYPE=Release",
        "-DBUILD_TESTING=OFF",
        f"-DCMAKE_INSTALL_PREFIX={prefix}",
        f"-DCMAKE_PREFIX_PATH={';'.join(prefixes)}",
        f"-DCMAKE_INSTALL_RPATH=$ORIGIN;$ORIGIN/{up_to_lib}",
        f"-DPython3_EXECUTABLE={sys.executable}",
        "-DPython3_FIND_VIRTUALENV=ONLY",
    ]
    jobs = str(os.cpu_count() or 1)
    for step, command in (
        ("configure", configure),
        ("build", [cmake, "--build", str(build), "--parallel", jobs]),
        ("install", [cmake, "--install", str(build)]),
    ):
        print(f"neon_ros_msgs: {step}", flush=True)
        code = subprocess.run(command, env=environment, check=False).returncode
        if code != 0:
            raise BuildError(f"cmake {step} of neon_ros_msgs failed with exit code {code}; its output is above")


def _metadata(name: str, version: str, tag: str) -> dict[str, str]:
    return {
        "METADATA": (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            "Summary: ROS 2 messages of neon_ros\nLicense: Apache-2.0\nRequires-Python: >=3.10\n"
        ),
        "WHEEL": f"Wheel-Version: 1.0\nGenerator: wheel_backend\nRoot-Is-Purelib: false\nTag: {tag}\n",
    }


def _pack(wheel: Path, prefix: Path, name: str, version: str, tag: str) -> None:
    """Write the wheel: Python files at its root, everything else in the data scheme (relative to the prefix)."""
    site = Path(sysconfig.get_path("platlib")).relative_to(sys.prefix)
    record: list[str] = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(target: str, content: bytes) -> None:
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{target},sha256={digest},{len(content)}")
            archive.writestr(zipfile.ZipInfo(target), content, zipfile.ZIP_DEFLATED)

        for path in sorted(file for file in prefix.rglob("*") if file.is_file()):
            relative = path.relative_to(prefix)
            inside = relative.is_relative_to(site)
            if inside and relative.relative_to(site).parts[0].endswith((".egg-info", ".dist-info")):
                continue  # the wheel has its own
            if "__pycache__" in relative.parts:
                continue
            target = relative.relative_to(site) if inside else Path(f"{name}-{version}.data/data") / relative
            add(target.as_posix(), path.read_bytes())
        for file, text in _metadata(name, version, tag).items():
            add(f"{name}-{version}.dist-info/{file}", text.encode())
        record.append(f"{name}-{version}.dist-info/RECORD,,")
        archive.writestr(f"{name}-{version}.dist-info/RECORD", "\n".join(record) + "\n")
