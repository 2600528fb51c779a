# RayDN on the decoder that begins at the perspective detector's boxes, with denoising along the ray beside the standard
# one.
_base_ = "../repdetr3d/city_r18_proposals.py"

model = dict(pts_bbox_head=dict(denoising=dict(_delete_=True, type="RayDenoising", groups=3)))
