# RayDN, V2-99, 900 queries, 320x800, 24 epochs.
_base_ = "../repdetr3d/repdetr3d_vov_800_bs2_seq_24e.py"

model = dict(pts_bbox_head=dict(denoising=dict(_delete_=True, type="RayDenoising")))
