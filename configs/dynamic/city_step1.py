# DynamicDet on the city, step 1: a lighter RepDETR3D first, then the one that ships. Both begin with what they have
# learned alone, the lighter one as the student of `distillation/city.py`.
_base_ = "../repdetr3d/city_r18.py"

_light_checkpoint = "checkpoints/repdetr3d_city_r18_light.pth"
_shipped_checkpoint = "{{fileDirname}}/../../detection/weights/repdetr3d_city_r18.safetensors"
_parts = ("img_backbone", "img_neck", "img_roi_head", "pts_bbox_head")
_hard = _base_.model
_head = _hard.pts_bbox_head

model = dict(
    _delete_=True,
    type="DynamicDetector",
    easy=dict(
        _hard,
        img_backbone=dict(_hard.img_backbone, base_channels=16),
        img_neck=dict(_hard.img_neck, in_channels=[32, 64]),
        pts_bbox_head=dict(_head, decoder=dict(_head.decoder, num_layers=2)),
        pretrained=dict.fromkeys(_parts, _light_checkpoint),
    ),
    hard=dict(_hard, pretrained=dict.fromkeys(_parts, _shipped_checkpoint)),
    # The router knows nothing yet: validation sees the hard path.
    threshold=1.0,
)
schedule = dict(epochs=4, reference_lr=3e-4)
