# The first stage of city_perspective: half the resolution, where a crop costs a fifth. Depths relate to the focal
# length in pixels, so that the weights go on at full resolution (load_from).
_base_ = ["city_perspective.py"]

_normalize = dict(type="NormalizeImages", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        pipeline=[
            dict(type="LoadImages"),
            dict(type="CropAroundHorizon", output_size=(96, 192), scale_range=(0.425, 0.6)),
            dict(type="MirrorWorld"),
            _normalize,
        ]
    ),
)
val_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type="LoadImages"),
            dict(type="ResizeCropFlipRotate", output_size=(160, 352), training=False),
            _normalize,
            dict(type="PadImages", divisor=32),
        ]
    )
)
model = dict(img_roi_head=dict(weights=dict(yaw_bin=0.5)))
schedule = dict(
    epochs=3,
    reference_lr=2e-3,
    reference_batch=16,
    warmup_iterations=300,
    min_lr_ratio=0.1,
    validation_epochs=3,
    checkpoint_epochs=0.5,
)
