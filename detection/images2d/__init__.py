"""2D detection in single images: data in the COCO format, its augmentation, its metric, and running on any source."""
