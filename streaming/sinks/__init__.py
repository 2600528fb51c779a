"""Where tracks go: a page, Rerun, lines of JSON, MCAP files, ROS 2."""
