"""BOP, the benchmark of 6D poses: `<split>/<scene>/` with `scene_gt.json`, `scene_camera.json`, `scene_gt_info.json` and pictures.

The format: https://github.com/thodan/bop_toolkit, docs/bop_datasets_format.md (scene-wise). What it means here:

- cam_K takes pixel centres at whole numbers, so our cx and cy are its + 0.5. Translations are millimetres. cam_R_w2c, cam_t_w2c are
  camera_from_world (where absent, the world is the camera's frame), cam_R_m2c, cam_t_m2c are camera_from_object.
- depth: 16-bit PNG; its number times the image's depth_scale is millimetres along z, 0 is nothing. Written in steps of 0.1 mm up to
  6.55 m; a picture that reaches further gets steps of 1 mm, and so on: depth comes back to within half a step.
- mask_visib/IMAGE_OBJECT.png is our mask, mask/ our mask_full. bbox_visib and bbox_obj are [x, y, w, h] with w and h from the first to the
  last pixel, one less than a box's width here; [-1, -1, -1, -1] where nothing shows. bbox_obj is written in whole pixels,
  so that box_full_xyxy is counted as lost.
- visib_fract is visible_fraction; px_count_all counts the whole silhouette on an unbounded canvas, px_count_valid its pixels in the
  picture with depth. What is not known is left out.
- An object of BOP is one rigid model, so ids are given to pairs of category and asset, as they come; `objects.json` says which. A model's
  meshes are not written, nor its box.
- BOP keeps instances that are hidden; its scores leave out those with visib_fract below 0.1, so that is its mark for `ignore`.
- A scene is a group; samples without one come in scenes of 1000.

BOP has no place for the lens distortion, the sample's key and truncated_fraction: `cam_distortion` (k1 k2 p1 p2 k3), `key` and
`truncated_fraction` stand beside BOP's own keys, which its toolkit passes over. The camera's near plane, which only drawing needs, is not
kept. WebP pictures, which BOP's readers do not take, are written as PNG.
"""

from __future__ import annotations

from synth.formats.bop_reading import Reader
from synth.formats.bop_writing import Writer

__all__ = ["Reader", "Writer"]
