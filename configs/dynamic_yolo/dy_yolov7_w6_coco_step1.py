# Dy-YOLOv7-W6 on COCO at 1280 px, step 1: both detectors from scratch.
_base_ = ["../_base_/datasets/coco_1280.py", "../_base_/schedules/yolo_300e.py", "../_base_/runtime.py"]

model = dict(
    type="DynamicYoloDetector",
    variant="dy-yolov7-w6",
    num_classes=80,
    channels_last=True,
    # Of the weights at 640 px and three levels, four levels take 3/4; four times the pixels, four times the object's.
    loss=dict(type="YoloLoss", box_weight=0.0375, object_weight=2.1, class_weight=0.225),
    postprocess=dict(score_threshold=0.001, iou_threshold=0.65, max_detections=300),
    threshold=1.0,
)
