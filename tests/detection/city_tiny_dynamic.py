"""The smallest dynamic detector: the tiny detector, and one of ResNet-34 with a longer decoder behind it."""

_base_ = "city_tiny.py"

_light = _base_.model

model = dict(
    _delete_=True,
    type="DynamicDetector",
    easy=_light,
    hard=dict(
        _light,
        img_backbone=dict(_light.img_backbone, depth=34),
        pts_bbox_head=dict(
            _light.pts_bbox_head, decoder=dict(num_layers=3, num_heads=4, feedforward_channels=64), denoising=None
        ),
    ),
    threshold=1.0,
)
