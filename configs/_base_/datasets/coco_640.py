# COCO 2017 at 640x640 with mosaics. The data root is $COCO_ROOT or data/coco: annotations/, train2017/, val2017/.
_root = "{{$COCO_ROOT:data/coco}}"
_size = (640, 640)
# fmt: off
_classes = [
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
]
# fmt: on

train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    dataset=dict(
        type="CocoDataset",
        dataroot=_root,
        ann_file="annotations/instances_train2017.json",
        image_dir="train2017",
        classes=_classes,
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
        classes=_classes,
        test_mode=True,
        pipeline=[dict(type="Letterbox", size=_size)],
    ),
    sampler=dict(type="EvaluationSampler"),
)
val_evaluator = dict(type="CocoMetric", ann_file=f"{_root}/annotations/instances_val2017.json", classes=_classes)
