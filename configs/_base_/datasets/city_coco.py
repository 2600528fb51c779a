# The synthetic city's cameras as single images at 128x224, small enough for a CPU. The root is $CITY_ROOT or data/city:
#   tools/make_city.py data/city && tools/create_data.py data/city --version v1.0-city --coco
# No mosaics: they would shrink objects that are small enough at this size, and pay off in long trainings only.
_root = "{{$CITY_ROOT:data/city}}"
_size = (128, 224)
# fmt: off
_classes = [
    "car", "truck", "construction_vehicle", "bus", "trailer", "barrier", "motorcycle", "bicycle", "pedestrian",
    "traffic_cone",
]
# fmt: on
_dataset = dict(type="CocoDataset", dataroot=_root, image_dir="", classes=_classes)

train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(
        **_dataset,
        ann_file="coco_city_train.json",
        pipeline=[
            dict(type="Letterbox", size=_size),
            dict(type="RandomAffine", size=_size, scale_range=(0.9, 1.5), translate=0.1),
            dict(type="RandomHSV", hue=0.015, saturation=0.4, value=0.3),
            dict(type="RandomHorizontalFlip"),
        ],
    ),
    sampler=dict(type="ShuffledSampler"),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(
        **_dataset,
        ann_file="coco_city_val.json",
        test_mode=True,
        pipeline=[dict(type="Letterbox", size=_size)],
    ),
    sampler=dict(type="EvaluationSampler"),
)
val_evaluator = dict(type="CocoMetric", ann_file=f"{_root}/coco_city_val.json", classes=_classes)
