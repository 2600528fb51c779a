# A narrow Dy-YOLOv7 on the city's cameras, step 1: both detectors from scratch, on one CPU core.
_base_ = ["../_base_/datasets/city_coco.py", "../_base_/schedules/yolo_300e.py", "../_base_/runtime.py"]

model = dict(
    type="DynamicYoloDetector",
    variant="dy-yolov7",
    width=0.25,
    num_classes=10,
    channels_last=True,
    # The published weights at 640x640 px and 80 classes, times the share of the pixels and of the classes.
    loss=dict(type="YoloLoss", box_weight=0.05, object_weight=0.05, class_weight=0.0375),
    postprocess=dict(score_threshold=0.001, iou_threshold=0.65, max_detections=100),
    # The router knows nothing yet: validation sees the hard path.
    threshold=1.0,
)
schedule = dict(epochs=2, warmup_iterations=100, validation_epochs=1, checkpoint_epochs=1)
custom_hooks = [dict(type="WeightAverageHook", decay=0.998, ramp_iterations=200)]
