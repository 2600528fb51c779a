# Dy-YOLOv7 on COCO, step 2: the router alone, beside the frozen detectors of step 1, without mosaics.
_base_ = "./dy_yolov7_coco_step1.py"

_size = (640, 640)

model = dict(trains="router", threshold=0.5)
load_from = "checkpoints/dy_yolov7_coco_step1.pth"
train_dataloader = dict(
    batch_size=1,
    dataset=dict(pipeline=[dict(type="Letterbox", size=_size), dict(type="RandomHorizontalFlip")]),
)
schedule = dict(
    epochs=1,
    reference_lr=1e-5,
    reference_batch=1,
    lr_rule="sqrt",
    warmup_iterations=0,
    validation_epochs=1,
    checkpoint_epochs=1,
)
optim_wrapper = dict(
    _delete_=True, optimizer=dict(type="AdamW", weight_decay=5e-4), clip_grad=dict(max_norm=float("inf"), norm_type=2)
)
custom_hooks = [dict(type="AdaptiveOffsetHook")]
