# The published schedule of YOLOv7 from scratch: SGD, 0.01 at a total batch of 64, three epochs of warm-up, cosine to a
# tenth. Its faster warm-up of biases and slower one of the momentum are left out.
schedule = dict(
    epochs=300,
    reference_lr=0.01,
    reference_batch=64,
    lr_rule="linear",
    warmup_iterations=5500,
    warmup_ratio=0.0,
    min_lr_ratio=0.1,
    validation_epochs=10,
    checkpoint_epochs=10,
)
optim_wrapper = dict(
    optimizer=dict(type="SGD", momentum=0.937, nesterov=True, weight_decay=5e-4),
    # No weight decay of biases, normalizations and learned offsets and factors.
    paramwise_cfg=dict(flat_decay_mult=0.0, custom_keys=dict(implicit=dict(decay_mult=0.0))),
    # Not clipped; a norm that is no number stops the training.
    clip_grad=dict(max_norm=float("inf"), norm_type=2),
)
custom_hooks = [dict(type="WeightAverageHook", decay=0.9999, ramp_iterations=2000)]
