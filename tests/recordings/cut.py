"""Cuts the sliver that lies here from the whole recordings: `python tests/recordings/cut.py FOLDER`.

FOLDER holds `golden` and `golden_methods`. Numbers are not changed; the largest arrays, and files that repeat others,
are left out. The same FOLDER gives the same bytes.
"""

import re
import shutil
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent

# File -> the arrays that stay out; "" where all stay in.
KEPT = {
    "golden": {
        r"keys_\w+\.txt|rule\.py|c_\w+\.json": "",
        r"inputs\.npz": "A0_img",
        r"b_r50_428q_roi_eval_A0\.npz": "img_feats",
        r"b_petrv1_seqA\.npz": "f0_(pos_embed|all_(cls_scores|bbox_preds))",
        r"b_r50_428q_seqA\.npz": r"f[2-4]_.*|f\d_(pos_embed|ta_.*|cone|all_(cls_scores|bbox_preds))",
        r"b_repdetr3d_vov_seqA\.npz": r"f1_.*|f0_(img_feats_level[01]|ta_.*|all_(cls_scores|bbox_preds))",
        r"c_(focal_petrv1|repdetr3d_vov)\.npz": "frame0_all_(cls_scores|bbox_preds)",
        r"c_r50_428q_stream\.npz": "frame0_all_(cls_scores|bbox_preds)",
    },
    "golden_methods": {
        r"keys_\w+\.txt|rule2\.py|dy_bn_var\.json|dynamicdet\.json|raydn_r50\.json|harmo_\w+\.json": "",
        r"harmo_(losses|branches)\.npz": "",
        r"raydn_r50\.npz": "(batch2|frame0)_all_(cls_scores|bbox_preds)|eval0_img_feats_level[02]",
        r"harmo_distill_r50_r18\.npz": r"frame0_(student|teacher)_fpn0",
        r"dynamicdet\.npz": r"dy-yolov7-step2_(easy|hard)_raw0",
    },
}


def cut(whole: Path) -> None:
    """Write both folders anew."""
    for folder, patterns in KEPT.items():
        shutil.rmtree(HERE / folder, ignore_errors=True)
        (HERE / folder).mkdir()
        for path in sorted((whole / folder).iterdir()):
            left_out = next((out for pattern, out in patterns.items() if re.fullmatch(pattern, path.name)), None)
            if left_out is None:
                continue
            target = HERE / folder / path.name
            if left_out:
                with np.load(path) as arrays:
                    kept = {name: arrays[name] for name in arrays.files if not re.fullmatch(left_out, name)}
                np.savez_compressed(target, **kept)
            else:
                target.write_bytes(path.read_bytes())


if __name__ == "__main__":
    cut(Path(sys.argv[1]))
