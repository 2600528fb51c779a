# Dy-YOLOv7-X on COCO, step 2: the router alone, beside the frozen detectors of step 1.
_base_ = "./dy_yolov7_coco_step2.py"

model = dict(variant="dy-yolov7x")
load_from = "checkpoints/dy_yolov7x_coco_step1.pth"
