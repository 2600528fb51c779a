# The perspective detector with a backbone of half its width: the light half of `dynamic/city_proposals_step1.py`. The
# head begins with what the shipped detector has learned, the backbone and the neck from nothing.
_base_ = ["city_perspective.py"]

model = dict(
    img_backbone=dict(base_channels=24),
    img_neck=dict(in_channels=[24, 48, 96, 192]),
    pretrained=dict(img_roi_head="{{fileDirname}}/../../detection/weights/perspective_city_r18.safetensors"),
)
schedule = dict(epochs=6, reference_lr=2e-3, warmup_iterations=200, checkpoint_epochs=0.5, validation_epochs=6)
