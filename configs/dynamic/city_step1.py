# DynamicDet on the city, step 1: the network that ships is the light detector; behind it a ResNet-34 with more layers.
_base_ = "../repdetr3d/city_r18.py"

_light = _base_.model
_head = _light.pts_bbox_head

model = dict(
    _delete_=True,
    type="DynamicDetector",
    easy=_light,
    hard=dict(
        type="MultiViewDetector",
        channels_last=True,
        img_backbone=dict(
            type="ResNet", depth=34, base_channels=48, strides=(1, 2, 2), out_indices=(1, 2), norm_eval=False
        ),
        img_neck=dict(type="FPN", in_channels=[96, 192], out_channels=128, num_outs=2),
        img_roi_head=_light.img_roi_head,
        pts_bbox_head=dict(_head, decoder=dict(_head.decoder, num_layers=6)),
    ),
    # The router knows nothing yet: validation sees the hard path.
    threshold=1.0,
)
