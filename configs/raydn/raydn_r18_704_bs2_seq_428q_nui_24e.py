# RayDN, ResNet-18 from ImageNet, 428 queries, 256x704, 24 epochs.
_base_ = "./raydn_r50_704_bs2_seq_428q_nui_24e.py"

model = dict(
    img_backbone=dict(depth=18, pretrained="https://download.pytorch.org/models/resnet18-f37072fd.pth"),
    img_neck=dict(in_channels=[128, 256, 512]),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(img_backbone=dict(lr_mult=0.25))))
