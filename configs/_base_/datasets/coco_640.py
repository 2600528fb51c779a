# COCO 2017 at 640x640 with mosaics. The data root is $COCO_ROOT or data/coco: annotations/, train2017/, val2017/.
_root = "{{$COCO_ROOT:data/coco}}"
_size = (640, 640)

train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    dataset=dict(
        type="CocoDataset",
        dataroot=_root,
        ann_file="annotations/instances_train2017.json",
        image_dir="train2017",
        pipeline=[
            dict(type="Mosaic", size=_size, nine_probability=0.2),
            dict(type="RandomAffine", size=_size, scale_range=(0.1, 1.9), translate=0.2),
            dict(type="MixUp", probability=0.15),
            dict(type="RandomHSV", hue=0.015, saturation=0.7, value=0.4),
            dict(type="RandomHorizontalFlip"),
        ],
    ),
    sampler=dict(type="ShuffledSampler"),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=8,
    dataset=dict(
        type="CocoDataset",
        dataroot=_root,
        ann_file="annotations/instances_val2017.json",
        image_dir="val2017",
        test_mode=True,
        pipeline=[dict(type="Letterbox", size=_size)],
    ),
    sampler=dict(type="EvaluationSampler"),
)
val_evaluator = dict(type="CocoMetric", ann_file=f"{_root}/annotations/instances_val2017.json")
