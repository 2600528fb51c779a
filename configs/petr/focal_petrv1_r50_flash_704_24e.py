# Focal-PETR: PETR v1 whose backbone also learns 2D boxes: NDS 36.6, mAP 33.1.
_base_ = "./petrv1_r50_flash_704_24e.py"

model = dict(img_roi_head=dict(type="FocalHead", num_classes=10))
