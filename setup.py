"""Packaging of StreamTrack. `constraints.txt` holds the versions that the tests run with."""

from pathlib import Path

from setuptools import find_packages, setup

ARGOVERSE2 = ["pyarrow<26"]
ROSBAG = ["rosbags>=0.11,<0.12"]
PY123D = ["py123d>=0.7,<0.8"]
RERUN = ["rerun-sdk>=0.23,<0.24", *ARGOVERSE2]
DETECTION = ["torch>=2.6", "safetensors>=0.4", "pycocotools>=2.0.6"]
MMDET3D = ["six", "terminaltables", "trimesh"]  # what mmdet3d imports; itself it comes by `make test-mmdet3d`
ONNX = ["onnx>=1.17", "onnxscript>=0.3", "onnxruntime>=1.20"]
LIVE = ["mcap>=1.2", "websockets>=13", *ROSBAG]
RAY = ["ray>=2.40"]
TUNE = ["optuna>=4"]
TENSORBOARD = ["tensorboard>=2.14"]
# The official kit needs numpy 1, which there is for Python 3.12 at most.
DEVKIT = [
    f"{package}; python_version < '3.13'" for package in ("nuscenes-devkit==1.2.0", "motmetrics==1.4.0", "pandas<3.1")
]
# What tests compare with, besides the kit.
ORACLES = ["filterpy>=1.4.5", "pandas>=2", "pyquaternion>=0.9.9", "scikit-learn>=1.5", "shapely>=2"]
DOCS = ["mkdocs>=1.6", "mkdocstrings-python>=2", "pymdown-extensions>=10"]
TEST = [
    *ARGOVERSE2,
    *RERUN,
    *TUNE,
    *ONNX,
    *LIVE,
    *RAY,
    *TENSORBOARD,
    *DOCS,
    *ORACLES,
    "filelock>=3.12",
    "pytest>=8",
    "pytest-xdist>=3.5",
    "hypothesis>=6.100",
    "mypy>=1.10",
    "ruff>=0.6",
    "selenium>=4.20",
]
ROOMS = ["scenes", "detection", "tracking", "evaluation", "visualization", "streaming", "streamtrack"]
# In the wheel, tools and configs lie in the package of the command.
CARRIED = {"streamtrack.tools": "tools", "streamtrack.configs": "configs"}

setup(
    name="streamtrack",
    version="0.1.0",
    description="Multi-camera 3D detection and 3D multi-object tracking for nuScenes-format data",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=[*find_packages(include=[pattern for room in ROOMS for pattern in (room, f"{room}.*")]), *CARRIED],
    package_dir=CARRIED,
    package_data={
        **{room: ["py.typed"] for room in ROOMS},
        "detection": ["py.typed", "weights/*"],
        "visualization": ["py.typed", "page/*"],
        "streamtrack.tools": ["*.sh"],
        "streamtrack.configs": ["**/*.py", "**/*.json"],
    },
    entry_points={"console_scripts": ["streamtrack = streamtrack.command:main"]},
    install_requires=[
        "numpy>=1.26",
        "scipy>=1.14",
        "mmengine>=0.10.7,<0.11",
        "msgspec>=0.18",
        "opencv-python>=4.8",  # not the headless one: mmengine asks for this, and both own the same files
        "imageio-ffmpeg>=0.5",
        "matplotlib>=3.8",
        "pillow>=10",
        "pyyaml>=6",
        "numba>=0.59",
        "rich>=13",
        "shtab>=1.7",
    ],
    extras_require={
        "argoverse2": ARGOVERSE2,
        "detection": DETECTION,
        "devkit": DEVKIT,
        "docs": DOCS,
        "mmdet3d": [*DETECTION, *MMDET3D],
        "live": LIVE,
        "onnx": ONNX,
        "py123d": PY123D,
        "ray": RAY,
        "rerun": RERUN,
        "rosbag": ROSBAG,
        "tune": TUNE,
        "mutants": ["mutmut>=3.8,<4"],
        "tensorboard": TENSORBOARD,
        "test": [*DETECTION, *DEVKIT, *TEST],
        "test-numpy2": TEST,
    },
)
