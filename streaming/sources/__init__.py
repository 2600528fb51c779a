"""Where images come from: data roots, recordings of one's own, ROS bags, cameras."""
