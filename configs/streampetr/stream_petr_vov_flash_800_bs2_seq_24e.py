# StreamPETR, V2-99, 900 queries, 320x800, 24 epochs: NDS 57.1, mAP 48.2.
_base_ = [
    "../_base_/models/streampetr_v299.py",
    "../_base_/datasets/nuscenes_800_bgr.py",
    "../_base_/schedules/streaming_24e.py",
    "../_base_/runtime.py",
]

optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(img_backbone=dict(lr_mult=0.1))))
