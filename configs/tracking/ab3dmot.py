# AB3DMOT's recipe (Weng et al. 2020): constant velocity, overlap of the bodies as the cost, optimal assignment, and a
# count of frames for birth and death: reported from the third box on, dead after two missed key frames.
# Two things differ: overlap is taken from above, not in 3D (cameras err in height), and each class is apart.
_max_missed_frames = 2
_key_frame_s = 0.5

tracker = dict(
    cost="giou",
    gate_giou=1.2,
    assignment="optimal",
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
        gate_m=10.0,
        max_unseen_s=(_max_missed_frames + 0.5) * _key_frame_s,
        confirm_hits=3,
    ),
)
