# nuScenes at 320x800, blue, green, red, streamed: each scene in two parts, one part at a time in each batch slot.
_base_ = "./nuscenes_704.py"

_range = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]
_resize = dict(type="ResizeCropFlipRotate", output_size=(320, 800))
_normalize = dict(type="NormalizeImages", mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395], to_rgb=False)
_to_network = [_normalize, dict(type="PadImages", divisor=32)]

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type="LoadImages"),
            dict(type="FilterBoxesByRange", point_cloud_range=_range),
            dict(type="StillWhereUnknown"),
            # Scales of 0.47 to 0.625; 0.5 is what fits 1600x900.
            dict(**_resize, training=True, zoom_range=(0.47 / 0.5, 0.625 / 0.5), flip=True),
            dict(type="RotateScaleFlipLidarFrame", rotation_range_rad=(-0.3925, 0.3925), scale_range=(0.95, 1.05)),
            *_to_network,
        ],
    ),
)
val_dataloader = dict(
    dataset=dict(pipeline=[dict(type="LoadImages"), dict(**_resize, training=False), *_to_network]),
)
