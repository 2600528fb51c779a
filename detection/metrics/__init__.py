"""What is found, scored: nuScenes' metrics of scenes, COCO's of images."""
