"""Write a trained detector as ONNX files, for Autoware's camera_streampetr node and for machines without torch.

    streamtrack export CONFIG CHECKPOINT --out DIR
    streamtrack test --onnx DIR --dataroot D --version V --split S --eval

A detector with a memory becomes the three files that the node loads, with the parameters that it has to know; one of
single frames becomes one file. --compare runs both over frames of a data root, --int8 quantises the convolutions by
images of one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from detection.config import add_overrides, read_config
from detection.deployment.contract import CHANNELS, FORMATS
from detection.deployment.over_scenes import data_frames
from detection.exporting.comparison import compare_on, differences_table
from detection.exporting.export import PRECISIONS, Options, export_detector, write_export
from detection.exporting.pipeline import read_pose
from detection.exporting.quantization import quantized
from scenes.command import between, run_command

_DATA = ("DATAROOT", "VERSION", "SPLIT")


def main() -> None:
    """Parse the command line, export, write, compare."""
    arguments = _parse_arguments()
    config = read_config(arguments.config, arguments.cfg_options)
    pose = arguments.base_link_from_lidar
    options = Options(
        format=arguments.format,
        node_channels=arguments.node_channels,
        base_link_from_lidar=None if pose is None else read_pose(pose),
        precision=arguments.precision,
        cameras=arguments.cameras,
    )
    export = export_detector(config, arguments.checkpoint, options)
    if arguments.int8:
        root, version, split = arguments.int8
        frames = data_frames(Path(root), version, split, arguments.int8_frames)
        export = quantized(export, (sample for sample, _ in frames))
    for path in write_export(export, arguments.out):
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    if arguments.compare:
        root, version, split = arguments.compare
        frames = data_frames(Path(root), version, split, arguments.frames, arguments.scene_frames)
        print(differences_table(compare_on(config, arguments.checkpoint, arguments.out, frames)))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="configs/*/*.py")
    parser.add_argument("checkpoint", help="weights of this model: .pth, .safetensors, or the address of such a file")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--format", choices=FORMATS, help="autoware: the node's three files; single: one (default: what the model can)"
    )
    parser.add_argument(
        "--node-channels",
        choices=CHANNELS,
        default="rgb",
        help="that the node gives; bgr before August 2026 (%(default)s)",
    )
    parser.add_argument(
        "--base-link-from-lidar",
        type=Path,
        metavar="FILE",
        help="four rows of four numbers: from the model's frame to the car's, for a model that lives in a lidar's",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="fp16-safe: layers that half precision would spoil get names that ask for float32 (default: fp32)",
    )
    parser.add_argument(
        "--cameras", nargs="+", metavar="NAME", help="in the network's order (default: the config's, or six)"
    )
    parser.add_argument("--int8", nargs=3, metavar=_DATA, help="quantise convolutions by the images of this data")
    parser.add_argument("--int8-frames", type=int, action=between(1), default=32, help="how many (%(default)s)")
    parser.add_argument("--compare", nargs=3, metavar=_DATA, help="run both on this data and print the differences")
    parser.add_argument("--frames", type=int, action=between(1), default=40, help="to compare on (%(default)s)")
    parser.add_argument("--scene-frames", type=int, action=between(1), help="of each scene at most (default: all)")
    add_overrides(parser)
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
