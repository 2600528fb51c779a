"""What is tolerated: ten times the rounding noise of the recorded implementation itself.

The noise is the largest change of an array when the same code runs on another number of threads, without oneDNN, or in
float64. It is stated with the recordings.
"""

from typing import Final

FEATURES: Final = 2e-5
LOGITS: Final = 3e-4
BOXES: Final = 2e-3  # metres, radians, logarithms of metres and m/s alike
QUERY_POSITIONS: Final = 4e-4
COSTS_IN_SPACE: Final = BOXES / 2  # a quarter of a distance of boxes in which the centre counts twice
LOSS: Final = 3e-5  # relative
MAP_LOSS: Final = 2e-6  # relative: of a distillation loss alone
MAP_GRADIENT: Final = 2e-6  # of the largest
SMALLEST_DISTILLATION_LOSS: Final = 2e-4  # relative: of a loss of 7e-5 in float32
UNORDERED_BEV_LOSS: Final = 2e-3  # relative: the recorded code overwrites cells of its map in an order of threads
GRADIENT_NORM: Final = 1e-3  # relative
GRADIENT_FLOOR: Final = 1e-4  # of the largest norm: what is smaller is noise itself
RANKED_SCORES: Final = 3e-5  # queries and tokens whose scores are that near may change places
EXACT_FLOAT: Final = 1e-6  # numbers that have one rounding at most

ABSOLUTE: Final = {
    "img_feats": FEATURES,
    "location": EXACT_FLOAT,
    "prev_exists": 0.0,
    "cone": 3e-6,
    "pos_embed": 1e-4,
    "ta_tgt": QUERY_POSITIONS,
    "ta_query_pos": QUERY_POSITIONS,
    "ta_reference_points": 8e-6,
    "all_cls_scores": LOGITS,
    "all_cls_scores_last": LOGITS,
    "all_bbox_preds": BOXES,
    "all_bbox_preds_last": BOXES,
    "memory_embedding": 2e-4,
    "memory_reference_point": BOXES,
    "memory_timestamp": EXACT_FLOAT,
    "memory_egopose": 3e-5,
    "memory_velo": 5e-5,
    "pre_memory_reference_point": BOXES,
    "pre_memory_timestamp": EXACT_FLOAT,
    "pre_memory_egopose": 3e-5,
    "pre_memory_velo": 5e-5,
    "dn_cls_scores": LOGITS,
    "dn_bbox_preds": BOXES,
    "dn_known_labels": 0.0,
    "dn_known_bboxs": EXACT_FLOAT,
    "dn_map_known_indice": 0.0,
    "dn_reference_points": EXACT_FLOAT,
    "attn_mask": 0.0,
    "enc_cls_scores": LOGITS,
    "enc_bbox_preds": FEATURES,
    "pred_centers2d": FEATURES,
    "centerness": LOGITS,
    "cost2d": LOGITS,
    "cost3d": COSTS_IN_SPACE,
}
