# The narrow Dy-YOLOv7 on the city's cameras, step 2: the router alone, beside the frozen detectors of step 1.
_base_ = "./city_step1.py"

_size = (128, 224)

model = dict(trains="router", threshold=0.5)
load_from = "checkpoints/dy_yolov7_city_step1.pth"
train_dataloader = dict(dataset=dict(pipeline=[dict(type="Letterbox", size=_size), dict(type="RandomHorizontalFlip")]))
schedule = dict(epochs=0.5, reference_lr=1e-3, warmup_iterations=0, validation_epochs=0.5)
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))
custom_hooks = [dict(type="AdaptiveOffsetHook")]
