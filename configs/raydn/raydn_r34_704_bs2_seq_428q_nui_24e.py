# RayDN, ResNet-34 from ImageNet, 428 queries, 256x704, 24 epochs.
_base_ = "./raydn_r50_704_bs2_seq_428q_nui_24e.py"

model = dict(
    img_backbone=dict(depth=34, pretrained="https://download.pytorch.org/models/resnet34-b627a593.pth"),
    img_neck=dict(in_channels=[128, 256, 512]),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(img_backbone=dict(lr_mult=0.25))))
