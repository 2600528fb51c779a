# RayDN, ResNet-50 from nuImages, 428 queries, 256x704, 24 epochs.
_base_ = [
    "../_base_/models/raydn_r50.py",
    "../_base_/datasets/nuscenes_704.py",
    "../_base_/schedules/streaming_24e.py",
    "../_base_/runtime.py",
]

optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(img_backbone=dict(lr_mult=0.1))))
