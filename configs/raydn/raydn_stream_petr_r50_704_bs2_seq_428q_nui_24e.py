# StreamPETR with ray denoising, ResNet-50 from nuImages, 428 queries, 256x704, 24 epochs.
_base_ = "../streampetr/stream_petr_r50_flash_704_bs2_seq_428q_nui_24e.py"

model = dict(pts_bbox_head=dict(denoising=dict(_delete_=True, type="RayDenoising")))
