# DynamicDet on the city with proposals, step 1: perspective detectors of half and of full width ($LIGHT_WEIGHTS and the
# one that ships) stay as they are; the decoders on them, which begin as that of a trained `city_r18_proposals`
# ($DECODER_WEIGHTS), learn to go on from each other's memory.
_base_ = "../repdetr3d/city_r18_proposals.py"

_light = "{{$LIGHT_WEIGHTS:work_dirs/city_perspective_light/iter_7200.pth}}"
_decoder = "{{$DECODER_WEIGHTS:work_dirs/city_r18_proposals/iter_3200.pth}}"
_hard = _base_.model
_head = _hard.pts_bbox_head

model = dict(
    _delete_=True,
    type="DynamicDetector",
    easy=dict(
        _hard,
        img_backbone=dict(_hard.img_backbone, base_channels=24),
        img_neck=dict(_hard.img_neck, in_channels=[24, 48, 96, 192]),
        pts_bbox_head=dict(_head, decoder=dict(_head.decoder, num_layers=2)),
        pretrained=dict(img_backbone=_light, img_neck=_light, img_roi_head=_light, pts_bbox_head=_decoder),
    ),
    hard=dict(_hard, pretrained=dict(_hard.pretrained, pts_bbox_head=_decoder)),
    # The router knows nothing yet: validation sees the hard path.
    threshold=1.0,
)
schedule = dict(epochs=1, reference_lr=3e-4, warmup_iterations=50, min_lr_ratio=0.01)
