"""Show how far the tracker's own uncertainty can be trusted: normalised innovations and errors, class by class."""

import argparse
from pathlib import Path

from rich.table import Table

from scenes.command import run_command, table_console
from tracking.consistency import consistency_of_file


def main() -> None:
    """Parse the command line, track, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detections", type=Path, help="detection result file, nuScenes submission format")
    parser.add_argument("--dataroot", type=Path, required=True, help="nuScenes data root; images are not needed")
    parser.add_argument("--version", required=True, help="folder of tables in it, such as v1.0-trainval")
    parser.add_argument("--split", required=True, help="val, mini_val, ..., a custom split, or a file of scene names")
    parser.add_argument("--config", type=Path, help="configs/tracking/*.py; default: the built-in settings")
    arguments = parser.parse_args()
    root = (arguments.dataroot, arguments.version, arguments.split)
    header, rows = consistency_of_file(arguments.detections, *root, arguments.config)
    table = Table(title="mean squared distance by dimension (bounds of a consistent filter); above 1 overconfident")
    for title in header:
        table.add_column(title, justify="left" if title == header[0] else "right")
    for row in rows:
        table.add_row(*row)
    table_console().print(table)


if __name__ == "__main__":
    run_command(main)
