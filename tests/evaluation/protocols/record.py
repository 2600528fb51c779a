"""Made-up KITTI sequences, and what eval-ab-3d-mot and TrackEval say of them.

    python tests/evaluation/protocols/record.py tests/evaluation/protocols/recorded.json

in an environment of its own with eval-ab-3d-mot 2.3.0 and trackeval 1.3.0, which needs numpy 2. The tests make the same
sequences and compare.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

SEEDS = ((0, 1), (2, 3, 4), (5,))
"""The sequences of each case."""

FRAMES = 24
LEVELS = (0.25, 0.5, 0.7)
HOTA = ("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA")

_SIZES_HWL = {
    "Car": (1.5, 1.6, 3.9),
    "Van": (2.2, 1.9, 5.0),
    "Truck": (3.2, 2.6, 9.0),
    "Pedestrian": (1.75, 0.7, 0.8),
    "Person": (1.3, 0.6, 0.9),
    "Person_sitting": (1.3, 0.6, 0.9),
    "Cyclist": (1.75, 0.6, 1.8),
}
_FOUND_AS = {"Van": "Car", "Truck": "Car", "Person": "Pedestrian", "Person_sitting": "Pedestrian"}
_FOCAL_PX, _MIDDLE_PX, _SIZE_PX = 720.0, (620.0, 180.0), (1242.0, 375.0)


def sequence(seed: int) -> tuple[list[list], list[list]]:
    """Lines of labels (17 fields) and of tracks (18), as KITTI's tracking benchmark has them.

    Objects that move, turn and are partly seen; tracks that are late, miss, lie beside, change identity; clutter, far
    and small boxes, and regions that nobody labelled.
    """
    rng = np.random.default_rng(seed)
    labels, tracks = [], []
    # More objects of the classes that are judged; their neighbours come along.
    objects = [_Object(rng, kind) for kind in rng.permutation([*_SIZES_HWL, *["Car", "Pedestrian", "Cyclist"] * 3])]
    next_identity = len(objects)
    for frame in range(FRAMES):
        for number, thing in enumerate(objects):
            thing.move(rng)
            if thing.begin <= frame < thing.end:
                hidden = rng.choice([0, 1, 2, 3], p=[0.6, 0.15, 0.15, 0.1])
                cut = rng.choice([0, 1], p=[0.95, 0.05])
                labels.append(_line(frame, number, thing.kind, cut, hidden, thing.box, rng.normal(0, 1, 4)))
                if rng.random() < 0.06:
                    thing.identity, next_identity = next_identity, next_identity + 1
                    thing.score = rng.normal(1, 2)
                if rng.random() < 0.85:
                    near = thing.box + rng.normal(0, 1, 7) * [0.1, 0.1, 0.15, 0.25, 0.05, 0.3, 0.1] * rng.choice(
                        [0.3, 2]
                    )
                    kind = _FOUND_AS.get(thing.kind, thing.kind)
                    score = thing.score + rng.normal(0, 0.3)
                    tracks.append([*_line(frame, thing.identity, kind, -1, -1, near, rng.normal(0, 2, 4)), score])
        for _ in range(rng.integers(3)):
            thing = _Object(rng, rng.choice(["Car", "Pedestrian", "Cyclist"]))
            tracks.append([*_line(frame, next_identity, thing.kind, -1, -1, thing.box, np.zeros(4)), rng.normal(-1, 1)])
            next_identity += 1
        left, top = rng.uniform(0, 900), rng.uniform(100, 200)
        labels.append([frame, -1, "DontCare", -1, -1, -10, left, top, left + 300, top + 120, *[-1000.0] * 7])
    return _rounded(labels), _rounded(tracks)


class _Object:
    def __init__(self, rng: np.random.Generator, kind: str) -> None:
        self.kind = str(kind)
        depth = rng.uniform(8, 60)
        place = [rng.uniform(-0.5, 0.5) * depth, rng.uniform(1.4, 1.9), depth, rng.uniform(-3.1, 3.1)]
        self.box = np.array([*(np.array(_SIZES_HWL[self.kind]) * rng.uniform(0.9, 1.1, 3)), *place])
        self.step = rng.normal(0, 0.4, 2)
        self.begin, self.end = np.sort(rng.integers(0, FRAMES + 4, 2)) - 2
        self.identity = int(rng.integers(1_000_000, 2_000_000))
        self.score = rng.normal(1, 2)

    def move(self, rng: np.random.Generator) -> None:
        self.box[[3, 5]] += self.step
        self.box[6] += rng.normal(0, 0.05)


def _line(frame, number, kind, truncated, occluded, box, shift_px) -> list:
    """h w l x y z ry behind a rectangle around where the box is in the image."""
    height, width, length, x, y, z, _ = box
    depth = max(z, 2.0)
    middle = _MIDDLE_PX[0] + _FOCAL_PX * x / depth
    half = 0.5 * _FOCAL_PX * (width + 0.5 * length) / depth
    edges = [middle - half, _MIDDLE_PX[1] + _FOCAL_PX * (y - height) / depth]
    edges += [middle + half, _MIDDLE_PX[1] + _FOCAL_PX * y / depth]
    edges = np.clip(edges + shift_px, 0, [*_SIZE_PX, *_SIZE_PX])
    edges[2:] = np.maximum(edges[2:], edges[:2] + 1)
    return [frame, number, kind, truncated, occluded, -10, *edges, *box]


def _rounded(lines: list[list]) -> list[list]:
    """What a file would hold."""
    return [[*line[:6], *(round(float(value), 6) for value in line[6:])] for line in lines]


def write(folder: Path, seeds: tuple[int, ...]) -> None:
    """Label and track files as both programs look for them."""
    for name in ("label", "label_02", "results/data_0"):
        (folder / name).mkdir(parents=True)
    for seed in seeds:
        labels, tracks = sequence(seed)
        # A type that TrackEval does not know.
        known = [line for line in labels if line[2] != "Person_sitting"]
        for name, lines in (("label", labels), ("label_02", known), ("results/data_0", tracks)):
            text = "".join(" ".join(map(str, line)) + "\n" for line in lines)
            (folder / name / f"{seed:04}.txt").write_text(text)
    rows = "".join(f"{seed:04} empty 000000 {FRAMES:06}\n" for seed in seeds)
    (folder / "evaluate_tracking.seqmap.training").write_text(rows)


def ab3dmot(folder: Path, seeds: tuple[int, ...]) -> dict[str, dict]:
    """What eval-ab-3d-mot says, in percent."""
    from eval_ab_3d_mot import evaluate_and_report as report
    from eval_ab_3d_mot.core.tracking_evaluation import TrackingEvaluation
    from eval_ab_3d_mot.stat import Stat

    means = []

    class NotedStat(Stat):
        def __init__(self, *arguments, **options) -> None:
            super().__init__(*arguments, **options)
            means.append(self)

    report.Stat = NotedStat
    found = {}
    for name in ("car", "pedestrian", "cyclist"):
        for level in LEVELS:
            judge = TrackingEvaluation(
                "results", {f"{seed:04}": FRAMES for seed in seeds}, str(folder), str(folder), cls=name, thres=level
            )
            judge.load_data(is_ground_truth=False)
            judge.load_data(is_ground_truth=True)
            report.evaluate_and_report(judge, "results", str(folder / "report.txt"), False)
            mean = means[-1]
            percent = {"sAMOTA": mean.sAMOTA, "AMOTA": mean.amota, "AMOTP": mean.amotp, "MOTA": judge.MOTA}
            counts = {"IDS": judge.id_switches, "FRAG": judge.fragments, "TP": judge.tp, "FP": judge.fp, "FN": judge.fn}
            percent = {key: 100 * float(value) for key, value in (percent | {"MOTP": judge.MOTP}).items()}
            found.setdefault(name, {})[str(level)] = percent | counts
    return found


def kitti_hota(folder: Path) -> dict[str, dict]:
    """What TrackEval says, in percent."""
    import trackeval

    quiet = dict.fromkeys(("PRINT_RESULTS", "PRINT_CONFIG", "OUTPUT_SUMMARY", "OUTPUT_DETAILED", "PLOT_CURVES"), False)
    judge = trackeval.Evaluator({**trackeval.Evaluator.get_default_eval_config(), **quiet, "USE_PARALLEL": False})
    where = {"GT_FOLDER": str(folder), "TRACKERS_FOLDER": str(folder), "TRACKERS_TO_EVAL": ["results"]}
    data = trackeval.datasets.Kitti2DBox({**where, "TRACKER_SUB_FOLDER": "data_0", "PRINT_CONFIG": False})
    by_class = judge.evaluate([data], [trackeval.metrics.HOTA()])[0]["Kitti2DBox"]["results"]["COMBINED_SEQ"]
    return {
        name: {key: 100 * float(np.mean(metrics["HOTA"][key])) for key in HOTA} for name, metrics in by_class.items()
    }


def main() -> None:
    """Record."""
    cases = []
    for seeds in SEEDS:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            write(Path(folder), seeds)
            judged = {"ab3dmot": ab3dmot(Path(folder), seeds), "kitti-hota": kitti_hota(Path(folder))}
        cases.append({"seeds": seeds, **judged})
    command = "python tests/evaluation/protocols/record.py tests/evaluation/protocols/recorded.json"
    Path(sys.argv[1]).write_text(json.dumps({"command": command, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
