# A narrow Dy-YOLOv7 on the city's cameras, step 1: both detectors from scratch, on one CPU core.
_base_ = ["../_base_/datasets/city_coco.py", "../_base_/schedules/yolo_300e.py", "../_base_/runtime.py"]

model = dict(
    type="DynamicYoloDetector",
    variant="dy-yolov7",
    width=0.25,
    anchor_scale=0.35,  # 224 of 640 px
    num_classes=10,
    channels_last=True,
    # The published weight of classes, times the share of the classes. That of objects is not cut down with the pixels:
    # in so short a training objects would hardly rise above their surroundings.
    loss=dict(type="YoloLoss", box_weight=0.05, object_weight=0.5, class_weight=0.0375, reference_batch=1),
    postprocess=dict(score_threshold=0.001, iou_threshold=0.65, max_detections=100),
    # The router knows nothing yet: validation sees the hard path.
    threshold=1.0,
)
# Adam gets further than SGD in so few iterations. The loss is a mean over images.
schedule = dict(
    epochs=1.5,
    reference_lr=2e-3,
    reference_batch=16,
    warmup_iterations=50,
    min_lr_ratio=0.01,
    validation_epochs=1.5,
    checkpoint_epochs=0.5,
)
optim_wrapper = dict(optimizer=dict(_delete_=True, type="AdamW", weight_decay=0.01))
custom_hooks = [dict(type="WeightAverageHook", decay=0.99, ramp_iterations=100)]
