"""The card of a Hugging Face `datasets` folder: its `README.md`.

The header's keys: https://huggingface.co/docs/hub/datasets-cards and the `dataset_info` and `configs` that `datasets` reads there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synth.types import Category

_LICENCES = frozenset({  # those the hub knows by this name; others are `other`
    *("apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"),
    *("cc-by-nc-nd-4.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "gpl-3.0", "mit", "mpl-2.0", "odbl"),
})  # fmt: skip
_COLUMNS = """## Columns

Image coordinates are px; (0, 0) is the outer corner of the top-left pixel, whose centre is (0.5, 0.5). Lengths are metres. A label that
was not given is null. Objects that hardly show are left out.

| `objects.` | |
|---|---|
| `bbox` | x, y, width, height of what shows |
| `category`, `area` | class; pixels that show (of the box, where there is no mask) |
| `mask`, `mask_full` | what shows, and all it would cover alone in the picture: COCO's compressed run lengths of (height, width), read by `pycocotools.mask.decode({"size": [height, width], "counts": counts})` |
| `box_full_xyxy` | x0, y0, x1, y1 of the whole silhouette, hidden and out-of-picture parts included |
| `obb_cxcywha` | rotated box: centre, width, height, angle in radians, clockwise on the screen |
| `visible_fraction`, `truncated_fraction` | share of the whole silhouette that shows; that is outside the picture |
| `keypoints_xyv` | x, y, v; v: 0 outside or behind the camera, 1 hidden, 2 seen |
| `keypoints_xyz_m`, `camera_from_object`, `box3d_object_m` | camera frame; pose (4, 4); centre and size in the object frame |
| `asset`, `crowd`, `attributes` | model; many objects in one; anything else, JSON |

`image_from_camera` is K (3, 3) of a pinhole, `distortion` OpenCV's k1 k2 p1 p2 k3, `world_from_camera` the camera's pose (x right, y down,
z forward; world z up). `origin` says how a synthetic picture is made again.
"""  # noqa: E501 a row of a table is a line


@dataclass(frozen=True, slots=True)
class SplitCount:
    """What a split holds. table_bytes: of its rows in memory, file_bytes: of its files. objects: by category."""

    pictures: int
    table_bytes: int
    file_bytes: int
    objects: Mapping[str, int]


def card(
    features: Mapping[str, Any],
    splits: Mapping[str, SplitCount],
    categories: Mapping[str, Category],
    licences: Sequence[str],
    provenance: Mapping[str, Any] | None,
) -> str:
    """The text of the card. features: as `datasets` writes them in JSON."""
    header = {
        **_licence(licences),
        "task_categories": ["object-detection"],
        "dataset_info": {
            "features": [{"name": name, **_yaml_feature(feature)} for name, feature in features.items()],
            "splits": [{"name": name, "num_bytes": one.table_bytes, "num_examples": one.pictures} for name, one in splits.items()],
            "download_size": sum(one.file_bytes for one in splits.values()),
            "dataset_size": sum(one.table_bytes for one in splits.values()),
        },
        "configs": [{"config_name": "default", "data_files": [{"split": name, "path": f"data/{name}-*"} for name in splits]}],
    }
    rows = [["", *splits], ["---"] * (len(splits) + 1), ["pictures", *(str(one.pictures) for one in splits.values())]]
    rows += [[f"`{name}`", *(str(one.objects.get(name, 0)) for one in splits.values())] for name in categories]
    lines = ["---", *_yaml(header), "---", "", "# Pictures with labels, made with synth", ""]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    lines += ["", f"Licences of what the pictures show: {', '.join(licences) or 'not stated'}.", "", _COLUMNS]
    lines += [f"Keypoints of `{name}`: {', '.join(one.keypoints)}." for name, one in categories.items() if one.keypoints]
    if provenance:
        lines += ["", "## Provenance", "", "```json", json.dumps(provenance, indent=1, ensure_ascii=False), "```"]
    return "\n".join(lines) + "\n"


def _licence(licences: Sequence[str]) -> dict[str, Any]:
    known = sorted({name.lower() if name.lower() in _LICENCES else "other" for name in licences})
    return {"license": known[0] if len(known) == 1 else known} if known else {}


def _yaml_feature(feature: Any) -> dict[str, Any]:
    """A feature as a dataset card says it."""
    kind = feature.get("_type")
    if kind == "Image":
        return {"dtype": "image"}
    if kind == "Value":
        return {"dtype": feature["dtype"]}
    if kind == "ClassLabel":
        return {"dtype": {"class_label": {"names": {str(i): name for i, name in enumerate(feature["names"])}}}}
    if kind == "Sequence":
        inner = _yaml_feature(feature["feature"])
        return {"sequence": inner.get("dtype", inner)}
    return {"struct": [{"name": name, **_yaml_feature(inner)} for name, inner in feature.items()]}


def _yaml(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """The lines of a mapping as YAML; texts are quoted as in JSON, which YAML reads."""
    for name, inner in value.items():
        key = name if name.isidentifier() else json.dumps(name)
        if isinstance(inner, dict) and inner:
            yield f"{indent}{key}:"
            yield from _yaml(inner, indent + "  ")
        elif isinstance(inner, list) and inner and isinstance(inner[0], dict):
            yield f"{indent}{key}:"
            for one in inner:
                first, *rest = _yaml(one, indent + "  ")
                yield from (f"{indent}- {first.strip()}", *rest)
        else:
            yield f"{indent}{key}: {json.dumps(inner, ensure_ascii=False)}"
