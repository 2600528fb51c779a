# Dy-YOLOv7-X on COCO, step 1: both detectors from scratch.
_base_ = "./dy_yolov7_coco_step1.py"

model = dict(variant="dy-yolov7x")
