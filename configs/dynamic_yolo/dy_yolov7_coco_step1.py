# Dy-YOLOv7 on COCO, step 1: both detectors from scratch.
_base_ = ["../_base_/datasets/coco_640.py", "../_base_/schedules/yolo_300e.py", "../_base_/runtime.py"]

model = dict(
    type="DynamicYoloDetector",
    variant="dy-yolov7",
    num_classes=80,
    channels_last=True,
    loss=dict(type="YoloLoss", box_weight=0.05, object_weight=0.7, class_weight=0.3),
    postprocess=dict(score_threshold=0.001, iou_threshold=0.65, max_detections=300),
    # The router knows nothing yet: validation sees the hard path.
    threshold=1.0,
)
