# StreamPETR with ray denoising, V2-99, 900 queries, 320x800, 24 epochs.
_base_ = "../streampetr/stream_petr_vov_flash_800_bs2_seq_24e.py"

model = dict(pts_bbox_head=dict(denoising=dict(_delete_=True, type="RayDenoising")))
