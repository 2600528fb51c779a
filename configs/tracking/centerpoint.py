# The greedy tracker that CenterPoint and StreamPETR ship, as a baseline: boxes moved back by their own velocity take,
# one after another, the nearest track within their class's gate; no filter; the score is the detection's.
# The gates are CenterPoint's own. StreamPETR's copy sets 2.5 m for every class: `every_class=dict(gate_m=2.5)` and no
# `classes` give that one.
#
# Mended, and so different from the published code:
# - boxes are taken best score first, so that the order of the file does not decide;
# - a track ages in every frame, also in one without any detection (the published one never died there);
# - identities are unique over the file, not only in a scene;
# - detections are not changed, and `meta` is that of the detections (the published one says lidar).
_max_missed_frames = 2
_key_frame_s = 0.5

tracker = dict(
    cost="backtracked_distance",
    assignment="nearest",
    use_identity=False,
    recovery_gate_scale=1.0,
    newborn_gate_scale=1.0,
    suppress_duplicates=False,
    birth_probability=0.0,
    track_score="detection",
    learn_noise=False,
    newborn_unseen_s=1000.0,
    report_unseen_s=0.0,
    every_class=dict(
        motion="last_box",
        max_speed_mps=1000.0,
        max_unseen_s=(_max_missed_frames + 0.5) * _key_frame_s,
    ),
    classes=dict(
        car=dict(gate_m=4.0),
        truck=dict(gate_m=4.0),
        bus=dict(gate_m=5.5),
        trailer=dict(gate_m=3.0),
        pedestrian=dict(gate_m=1.0),
        motorcycle=dict(gate_m=13.0),
        bicycle=dict(gate_m=3.0),
    ),
)
