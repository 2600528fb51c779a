"""The protocols by which other data sets judge tracks: AB3DMOT's in space and HOTA in the image, on KITTI."""
