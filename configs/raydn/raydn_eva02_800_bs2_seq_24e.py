# RayDN, EVA02-L, 900 queries, 320x800, 24 epochs: NDS 62.4, mAP 54.1.
_base_ = "../repdetr3d/repdetr3d_eva02_800_bs2_seq_24e.py"

model = dict(pts_bbox_head=dict(denoising=dict(_delete_=True, type="RayDenoising")))
