"""Samples with every label, for the tests of what keeps and exports them."""

from __future__ import annotations

import numpy as np

from synth.types import Camera, Category, Instance, Keypoints, Obb, Origin, Rle, Sample, SampleInfo

MUG = Category("mug", ("handle", "rim"), (("handle", "rim"),), (("handle", "rim"),), (0.05, 0.1))
BOX = Category("box")
WIDTH, HEIGHT = 48, 32


def full_instance(rng: np.random.Generator, visible_fraction: float = 0.75) -> Instance:
    """A rectangle of a mug with all labels that there are."""
    x0, y0 = rng.integers(0, WIDTH // 2), rng.integers(0, HEIGHT // 2)
    x1, y1 = rng.integers(x0 + 1, WIDTH + 1), rng.integers(y0 + 1, HEIGHT + 1)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y0:y1, x0:x1] = True
    whole = mask.copy()
    whole[:, x0:] = True
    box = (float(x0), float(y0), float(x1), float(y1))
    return Instance(
        category="mug",
        mask=Rle.encode(mask),
        mask_full=Rle.encode(whole),
        area_px=int(mask.sum()),
        box_xyxy=box,
        box_full_xyxy=(box[0] - 3.25, box[1], box[2] + 1 / 3, box[3]),
        obb=Obb((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1], 0.1),
        visible_fraction=visible_fraction,
        truncated_fraction=0.125,
        keypoints=Keypoints(np.array([[x0 + 0.3, y0 + 0.7], [0, 0]]), np.array([2, 0]), rng.normal(size=(2, 3))),
        camera_from_object=np.eye(4),
        box3d_object_m=(rng.normal(size=3), rng.uniform(size=3)),
        asset="mug_1",
        crowd=False,
        attributes={"occluded": True, "zone": "left"},
    )


def sample(index: int, seed: int = 7) -> Sample:
    """Sample `index` of a made-up run: instance 0 has all labels, 1 (in odd samples) only its category."""
    rng = np.random.default_rng([seed, index])
    image = np.kron(rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    depth = rng.uniform(0.5, 2, (HEIGHT, WIDTH)).astype(np.float32)
    depth[:4] = np.inf
    normals = rng.normal(size=(HEIGHT, WIDTH, 3)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    normals[:4] = 0
    return Sample(
        image=image,
        instances=(full_instance(rng, visible_fraction=round(index % 10 / 10, 1)), *([Instance("box")] if index % 2 else [])),
        categories=(MUG, BOX),
        depth_m=depth,
        normals=normals,
        camera=Camera.from_fov(WIDTH, HEIGHT, 1.0, np.eye(4), (0.1, -0.2, 0.001, 0.0, 1 / 3)),
        origin=Origin("5eed" * 16, "shelf", seed, index, "flat 1", {"numpy": "2.4", "synth": "0.1"}),
        info=SampleInfo("kitchen", "train", f"video{index % 3}", "CC0-1.0", "ann", ("indoor",), {"camera_id": 4}),
    )
