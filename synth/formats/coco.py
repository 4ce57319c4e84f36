"""COCO: instances and keypoints in one JSON file; written as `annotations.json` with the pictures in `images/`.

The format: https://cocodataset.org/#format-data. What it means here:

- segmentation: compressed RLE of the visible mask; bbox: [x, y, width, height] of it; area: its pixels. Polygons are read as pycocotools
  fills them.
- keypoints: COCO names pixel centres by whole numbers, so x and y are ours - 0.5; v = 0 is written 0, 0, 0; skeleton counts from 1.
- An instance seen less than `min_visible_fraction` is an `ignore` region: `"iscrowd": 1, "ignore": 1`. pycocotools scores neither hits nor
  misses there (it looks at iscrowd alone), and trainers skip crowds. `below="leave_out"` drops it instead.
- An instance of which nothing shows (an empty mask, or neither mask nor box) cannot be said in COCO and is left out.
- What COCO has no field for is kept beside: labels in each annotation's `attributes`, mirror pairs and sigmas in the category, key, split
  and the like in the image. `info.synth` marks a file that has these, and only there they are read back.
"""

from __future__ import annotations

from synth.formats.coco_reading import Reader
from synth.formats.coco_writing import Writer

__all__ = ["Reader", "Writer"]
