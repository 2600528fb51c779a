# DynamicDet on the city, step 2: the router alone, beside the frozen detectors of step 1.
_base_ = "./city_step1.py"

model = dict(trains="router", threshold=0.5)
load_from = "checkpoints/dynamic_city_step1.pth"
custom_hooks = [dict(type="AdaptiveOffsetHook")]
schedule = dict(epochs=1, reference_lr=2e-4, warmup_iterations=0)
