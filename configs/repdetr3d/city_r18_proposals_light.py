# A lighter detector with proposals for the city: a backbone of half the width, one decoder layer less, all of which
# learns. The student of `distillation/city_proposals.py`. Its perspective head and decoder begin with what a trained
# `city_r18_proposals` has ($DECODER_WEIGHTS), its backbone and neck from nothing.
_base_ = ["./city_r18_proposals.py"]

_trained = "{{$DECODER_WEIGHTS:work_dirs/city_r18_proposals/iter_3200.pth}}"

model = dict(
    img_backbone=dict(base_channels=24),
    img_neck=dict(in_channels=[24, 48, 96, 192]),
    pts_bbox_head=dict(decoder=dict(num_layers=2)),
    pretrained=dict(_delete_=True, img_roi_head=_trained, pts_bbox_head=_trained),
    frozen=[],
)
schedule = dict(epochs=1, reference_lr=1e-3, warmup_iterations=100, min_lr_ratio=0.01)
