# DynamicDet on the city with proposals, step 2: the router alone, beside the frozen detectors of step 1.
_base_ = "./city_proposals_step1.py"

model = dict(trains="router", threshold=0.5)
load_from = "{{$CASCADE_WEIGHTS:work_dirs/city_proposals_step1/iter_800.pth}}"
custom_hooks = [dict(type="AdaptiveOffsetHook")]
schedule = dict(epochs=0.5, reference_lr=2e-4, warmup_iterations=0)
