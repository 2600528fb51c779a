# The model of the 428 query configs without recomputation, to measure its speed. The published file of this name gives
# StreamPETR's detector the head of RepDETR3D, which it does not fit; this one is the detector that is released.
_base_ = "./raydn_r50_704_bs2_seq_428q_nui_60e.py"

model = dict(img_backbone=dict(with_cp=False), pts_bbox_head=dict(decoder=dict(with_cp=False)))
