# nuScenes at 512x1408, red, green, blue, streamed: each scene in two parts, one part at a time in each batch slot.
_base_ = "./nuscenes_704.py"

_range = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]
_resize = dict(type="ResizeCropFlipRotate", output_size=(512, 1408))
_normalize = dict(type="NormalizeImages", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
_to_network = [_normalize, dict(type="PadImages", divisor=32)]

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type="LoadImages"),
            dict(type="FilterBoxesByRange", point_cloud_range=_range),
            dict(type="StillWhereUnknown"),
            # Scales of 0.8 to 1.0; 0.88 is what fits 1600x900.
            dict(**_resize, training=True, zoom_range=(0.8 / 0.88, 1.0 / 0.88), flip=True),
            dict(type="RotateScaleFlipLidarFrame", rotation_range_rad=(-0.3925, 0.3925), scale_range=(0.95, 1.05)),
            *_to_network,
        ],
    ),
)
val_dataloader = dict(
    dataset=dict(pipeline=[dict(type="LoadImages"), dict(**_resize, training=False), *_to_network]),
)
