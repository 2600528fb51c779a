# The published streaming schedule: AdamW, 4e-4 at a total batch of 16, linear warm-up, cosine.
# Iterations and the learning rate of a run follow from its data set, batch and processes.
schedule = dict(
    epochs=24,
    reference_lr=4e-4,
    reference_batch=16,
    lr_rule="linear",
    warmup_iterations=500,
    warmup_ratio=1 / 3,
    min_lr_ratio=1e-3,
)
optim_wrapper = dict(
    optimizer=dict(type="AdamW", weight_decay=0.01),
    paramwise_cfg=dict(custom_keys=dict(img_backbone=dict(lr_mult=0.25))),
    clip_grad=dict(max_norm=35, norm_type=2),
)
