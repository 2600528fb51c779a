# The model of the 428 query configs without recomputation, to measure its speed.
_base_ = "./stream_petr_r50_flash_704_bs2_seq_428q_nui_24e.py"

model = dict(img_backbone=dict(with_cp=False), pts_bbox_head=dict(decoder=dict(with_cp=False)))
