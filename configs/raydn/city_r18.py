# RayDN on the city: the network that ships, with denoising along the ray beside the standard one.
_base_ = "../repdetr3d/city_r18.py"

model = dict(pts_bbox_head=dict(denoising=dict(_delete_=True, type="RayDenoising", groups=3)))
