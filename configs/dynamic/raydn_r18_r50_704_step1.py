# DynamicDet at 256x704, step 1: RayDN with ResNet-18, and behind it RayDN with ResNet-50, 428 queries.
_base_ = "../raydn/raydn_r50_704_bs2_seq_428q_nui_24e.py"

_heavy = _base_.model

model = dict(
    _delete_=True,
    type="DynamicDetector",
    easy=dict(
        _heavy,
        img_backbone=dict(
            _heavy.img_backbone, depth=18, pretrained="https://download.pytorch.org/models/resnet18-f37072fd.pth"
        ),
        img_neck=dict(_heavy.img_neck, in_channels=[128, 256, 512]),
    ),
    hard=dict(_heavy, grid_mask=None),  # that of the light detector is over the images of both
    # The router knows nothing yet: validation sees the hard path.
    threshold=1.0,
)
