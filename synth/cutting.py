"""Cut-outs made: from the objects of labelled samples, from meshes; and written to a folder, where scenes read them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from synth.annotate import annotate
from synth.cutouts import LEAST_PX, cropped
from synth.errors import AssetError, ConfigError, known_names
from synth.geometry import look_at
from synth.protocols import Renderer
from synth.types import Asset, Body, Bool, Camera, Category, Cutout, DirectionalLight, Environment, Sample, World

# --- from samples, and back to files ----------------------------------------------------------------------------------


def cutouts_of(
    sample: Sample, *, categories: Iterable[str] | None = None, min_visible: float = 0.9, min_side_px: int = 16, whole: bool = True
) -> list[tuple[Cutout, Category]]:
    """The objects of a labelled sample, by their masks. What has no mask is none, nor is a crowd.

    categories: their names, or all. min_visible: what shows less of itself is left out, where that is known. min_side_px: of its box.
    whole: what touches the picture's edge is left out, too.
    """
    by_name = {category.name: category for category in sample.categories}
    wanted = set(by_name) if categories is None else set(categories)
    for name in sorted(wanted - set(by_name)):
        raise ConfigError(known_names("category of the sample", name, by_name))
    width, height = sample.size
    found = []
    for number, instance in enumerate(sample.instances):
        if instance.mask is None or instance.crowd or instance.category not in wanted:
            continue
        if instance.visible_fraction is not None and instance.visible_fraction < min_visible:
            continue
        mask = instance.mask.decode()
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows) or min(np.ptp(rows), np.ptp(columns)) + 1 < max(min_side_px, LEAST_PX):
            continue
        if whole and (rows[0] == 0 or columns[0] == 0 or rows[-1] == height - 1 or columns[-1] == width - 1):
            continue
        category = by_name[instance.category]
        points, hidden = {}, []
        if instance.keypoints is not None:
            for name, (x, y), v in zip(category.keypoints, instance.keypoints.xy.tolist(), instance.keypoints.v.tolist(), strict=True):
                if v:
                    points[name] = (x, y)
                if v == 1:
                    hidden.append(name)
        name = f"{sample.key or 'sample'}-{number}"
        rgba = np.dstack([sample.image, mask.astype(np.uint8) * 255])
        found.append((cropped(name, rgba, points, hidden, (sample.info.licence or "")), category))
    return found


def save_cutout(folder: str | Path, cutout: Cutout, category: Category) -> Path:
    """Write `<folder>/<category>/<name>.png` and its description, such that `load_cutout` gives it back. Raises AssetError."""
    import yaml
    from PIL import Image

    stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in cutout.name)
    picture = Path(folder).expanduser() / "".join(c if c.isalnum() or c in "-_ " else "_" for c in category.name) / f"{stem}.png"
    points = {name: [round(v, 4) for v in xy] for name, xy in cutout.keypoints_xy.items()}
    known = {name: points.get(name) for name in category.keypoints}
    values = {
        "name": cutout.name,
        "category": category.name,
        "keypoints": {name: {"at": xy, "hidden": True} if name in cutout.hidden else xy for name, xy in known.items()},
        "mirror": [list(pair) for pair in category.mirror],
        "skeleton": [list(edge) for edge in category.skeleton],
        "sigmas": list(category.sigmas),
        "licence": cutout.licence,
    }
    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(cutout.rgba).save(picture)
        picture.with_suffix(".cutout.yaml").write_text(
            yaml.safe_dump({k: v for k, v in values.items() if v}, sort_keys=False, default_flow_style=None)
        )
    except OSError as error:
        raise AssetError(f"{picture}: cannot be written: {error.strerror}") from error
    return picture


# --- from a mesh ------------------------------------------------------------------------------------------------------


def render_cutout(
    renderer: Renderer,
    asset: Asset,
    category: Category,
    *,
    azimuth_rad: float = 0.0,
    elevation_rad: float = 0.5,
    size_px: int = 512,
    fov_rad: float = 0.35,
) -> Cutout:
    """A mesh as an open renderer shows it, seen from azimuth_rad (0: from -y, counter-clockwise seen from above) and elevation_rad above
    its middle, its keypoints with it. size_px: side of the picture that it is cut from, which its bounding sphere fills."""
    centre = asset.box_object_m[0]
    distance = asset.diameter_m / 2 * 1.05 / math.sin(fov_rad / 2)
    across = math.cos(elevation_rad)
    toward = np.array([across * math.sin(azimuth_rad), -across * math.cos(azimuth_rad), math.sin(elevation_rad)])
    camera = Camera.from_fov(size_px, size_px, fov_rad, look_at((centre + distance * toward).tolist(), centre.tolist()))
    light = DirectionalLight((float(-toward[0] - 0.4), float(-toward[1]), float(-toward[2] - 0.6)), 1.6)
    world = World(camera, (Body(asset, np.eye(4), category),), (light,), Environment(color=(0.5, 0.5, 0.5)))
    frame = renderer.render(world)
    (item,) = annotate(world, frame).instances
    shown: Bool = frame.instance == 1
    if not shown.any():
        raise ConfigError(f"asset '{asset.name}': nothing of it shows from azimuth {azimuth_rad:g}, elevation {elevation_rad:g}")
    points = {name: (float(x), float(y)) for name, (x, y) in zip(category.keypoints, item.keypoint_xy, strict=True)}
    hidden = [name for name, surface in zip(category.keypoints, item.keypoint_surface, strict=True) if not surface]
    return cropped(asset.name, np.dstack([frame.rgb, shown.astype(np.uint8) * 255]), points, hidden, asset.licence)
