"""CVAT for images 1.1: `annotations.xml` and the pictures in `images/`, or `images/SUBSET/` where there are subsets.

The format: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat. CVAT's coordinates are ours: continuous, (0, 0) is the outer
corner of the picture. What its shapes mean here:

- box: box_xyxy; with `rotation` (degrees, clockwise about its centre) obb. polygon and ellipse: the mask of the pixels whose centres lie
  inside. mask: run lengths along the rows of a small box, beginning with what is not the object.
- skeleton: keypoints, in the order in which <meta> names its points, else in that of the file. outside=1 is v = 0, occluded=1 is v = 1.
- points: keypoints too, of a label that is no skeleton. A label's points must be as many everywhere; one is named like the label, more are
  `1`, `2`, ...; who counts with points needs another format, so a different number is a fault.
- polyline: an instance without a region whose attribute `polyline_xy` is its [x, y] in px. cuboid: a fault.
- tag: the picture's classes. subset: its split (`default` is none). assignee, else owner, of the task: its annotator.
- Shapes of one label in one group are one instance if each says something else (a box and a skeleton, say) and their attributes agree;
  other groups are the attribute `group_id`. occluded, z_order, group_id and source are attributes unless they are CVAT's defaults (0,
  `manual`); a label's own attributes go before them and have the type that <meta> gives them.
- key: `subset/name`, or the name. Of two <image> of one picture none is read; a picture in `images/` beside the only XML file without an
  <image>, and a shape that stands twice with all its fields equal, are faults.

Written are masks, boxes and rotated boxes that do not follow from a mask, and skeletons, grouped where an instance has several. Attributes
of mixed types or lists are written as JSON and come back as that text; a category's mirror pairs and sigmas have no place. "CVAT for
video" holds tracks between which it interpolates; export "CVAT for images" instead.
"""

from __future__ import annotations

from synth.formats.cvat_reading import Reader
from synth.formats.cvat_writing import Writer

__all__ = ["Reader", "Writer"]
