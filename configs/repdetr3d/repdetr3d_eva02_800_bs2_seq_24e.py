# RepDETR3D, EVA02-L, 900 queries, 320x800, 24 epochs: NDS 60.8, mAP 52.1.
_base_ = [
    "../_base_/models/repdetr3d_eva02.py",
    "../_base_/datasets/nuscenes_800.py",
    "../_base_/schedules/streaming_24e.py",
    "../_base_/runtime.py",
]

optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(img_backbone=dict(lr_mult=0.1))))
