"""The parameters that Autoware's node has to know of a model, as ROS reads them."""

from __future__ import annotations

from collections.abc import Sequence

from detection.deployment.contract import Description

_THRESHOLD = 0.35
_YAW_NORM = 0.3


def parameters_yaml(description: Description, detection_range_m: Sequence[float]) -> str:
    """`ml_package_camera_streampetr.param.yaml` of an export.

    Args:
        description: of the export.
        detection_range_m: least x, y, z and greatest x, y, z in base_link.
    """
    height, width = description.image_size_px
    classes = len(description.classes)
    names = ", ".join(f'"{name.upper()}"' for name in description.classes)
    cameras = "".join(f"    #   ~/input/camera{index}: {name}\n" for index, name in enumerate(description.cameras))
    return f"""\
# {description.model}, written by `streamtrack export`
/**:
  ros__parameters:
    # Cameras in the order in which the network sees them:
{cameras}\
    model_params:
      class_names: [{names}]
      detection_range: [{_floats(detection_range_m)}]
      input_image_height: {height}
      input_image_width: {width}
      num_proposals: {description.num_queries}
      rois_number: {len(description.cameras)}
      pre_memory_length: {description.memory_length}
      post_memory_length: {description.memory_length + description.memory_topk}
    # One number a class: the node reads lists that are shorter beyond their end.
    post_process_params:
      confidence_threshold: [{_floats([_THRESHOLD] * classes)}]
      yaw_norm_thresholds: [{_floats([_YAW_NORM] * classes)}]
"""


def _floats(numbers: Sequence[float]) -> str:
    """With a point in each: ROS tells floats from integers by it."""
    return ", ".join(f"{number:.6g}" if "." in f"{number:.6g}" else f"{number:.1f}" for number in numbers)
