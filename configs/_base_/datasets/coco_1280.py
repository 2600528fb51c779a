# COCO 2017 at 1280x1280 with mosaics.
_base_ = "./coco_640.py"

_size = (1280, 1280)

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type="Mosaic", size=_size, nine_probability=0.2),
            dict(type="RandomAffine", size=_size, scale_range=(0.1, 1.9), translate=0.2),
            dict(type="MixUp", probability=0.15),
            dict(type="RandomHSV", hue=0.015, saturation=0.7, value=0.4),
            dict(type="RandomHorizontalFlip"),
        ],
    ),
)
val_dataloader = dict(dataset=dict(pipeline=[dict(type="Letterbox", size=_size)]))
