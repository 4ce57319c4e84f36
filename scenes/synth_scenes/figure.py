"""A human figure as one asset: its parts skinned to a pose, on the ground, with COCO's keypoints.

The object's frame: x forward, y to the figure's left, z up, the origin on the ground below the pelvis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from synth.compose.articulation import Angles
from synth.compose.deform import Deformation, blended, surface_normals
from synth.geometry import transform
from synth.types import F64, Asset, Category, Keypoint, Material, Mesh
from synth_scenes.figure_parts import BONES, Shape, hidden, marks, shape, tinges
from synth_scenes.figure_shapes import EYE_M, EYE_RADIUS_M, bind
from synth_scenes.skeleton import Proportions, skeleton

_POINTS = ("nose", "eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_NAMES = tuple(name for point in _POINTS for name in ([point] if point == "nose" else [f"left_{point}", f"right_{point}"]))
_EDGES = "ankle-knee knee-hip hip+hip shoulder-hip shoulder+shoulder shoulder-elbow elbow-wrist eye+eye nose-eye eye-ear ear-shoulder"


def _skeleton() -> tuple[tuple[str, str], ...]:
    edges: list[tuple[str, str]] = []
    for edge in _EDGES.split():
        if "+" in edge:
            point = edge.split("+")[0]
            edges.append((f"left_{point}", f"right_{point}"))
        else:
            a, b = edge.split("-")
            edges += [(a if a == "nose" else f"{which}_{a}", f"{which}_{b}") for which in ("left", "right")]
    return tuple(edges)


PERSON = Category(
    "person",
    _NAMES,
    mirror=tuple((f"left_{point}", f"right_{point}") for point in _POINTS[1:]),
    skeleton=_skeleton(),
    sigmas=(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
"""COCO's person: 17 keypoints in its order, its 19 edges and its constants for OKS (Lin et al. 2014; cocodataset.org)."""

# Of joints: the link whose origin it is, and how far below skin or thin cloth it lies, m, at a stature of 1.75 m.
_JOINTS = {
    "shoulder": ("upper_arm", 0.080),
    "elbow": ("forearm", 0.060),
    "wrist": ("hand", 0.045),
    "hip": ("thigh", 0.135),
    "knee": ("shin", 0.080),
    "ankle": ("foot", 0.060),
}
# Of points on the head: in its frame, on the left.
_ON_HEAD = {"nose": (0.125, 0.0, 0.047), "eye": (EYE_M[0] + EYE_RADIUS_M, EYE_M[1], EYE_M[2]), "ear": (0.004, 0.090, 0.066)}


@dataclass(frozen=True)
class Build:
    """Which figure. feminine: form of the body, 0 or 1 or between; hair, top, bottom: kinds of figure_shapes; without top and bottom: a
    mannequin without clothes."""

    feminine: float = 0.0
    hair: str = "short"
    top: str = "tee"
    bottom: str = "trousers"
    proportions: Proportions = field(default_factory=Proportions)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what is drawn, in order."""
        hair = () if self.hair == "bald" else (f"hair_{self.hair}",)
        if not (self.top and self.bottom):
            return (*MANNEQUIN, *hair)
        legs = ("legs",) if self.bottom == "shorts" else ()
        return (*BARE, *legs, *hair, f"top_{self.top}", f"bottom_{self.bottom}", "shoes", "soles")


BARE = ("skin", "left_hand", "right_hand", "head", "eyes")
MANNEQUIN = ("bare", *BARE[1:])


@dataclass(frozen=True, eq=False)
class Posed:
    """A figure in a pose: vertices (n, 3) and normals of each part in the object's frame, and where its bones took the space around them:
    object_from_bind (bones, 4, 4). joints: object_from_link of each link."""

    build: Build
    angles: Mapping[str, tuple[float, ...]]
    object_from_bind: F64
    joints: Mapping[str, F64]
    vertices_m: Mapping[str, F64]
    normals: Mapping[str, F64]


def pose(build: Build, angles: Angles, folds: Deformation | None = None, world_from_root: F64 | None = None) -> Posed:
    """The figure with its lowest point on z = 0. folds: of the cloth, a deformation in the pose that it is modelled in."""
    body = skeleton(build.proportions)
    root = np.eye(4) if world_from_root is None else world_from_root
    root = root.copy()
    joints = body.poses(angles, root)
    scales = build.proportions.scales()
    bones = np.stack([joints[name] @ np.diag([*scales[name], 1.0]) @ np.linalg.inv(bind()[name]) for name in BONES])
    vertices = {name: _moved(name, shape(name, build.feminine), bones, folds) for name in build.parts}
    lift = np.eye(4)
    lift[2, 3] = -min(float(points[:, 2].min()) for points in vertices.values())
    return Posed(
        build,
        body.checked(angles),
        lift @ bones,
        {name: lift @ joint for name, joint in joints.items()},
        {name: points + lift[:3, 3] for name, points in vertices.items()},
        {name: surface_normals(points, shape(name, build.feminine).faces) for name, points in vertices.items()},
    )


def _moved(name: str, part: Shape, bones: F64, folds: Deformation | None) -> F64:
    points = part.vertices_m
    if folds is not None and name.startswith(("top", "bottom")):
        # Along the normal only, and outward: cloth is not drawn into the body.
        shift = np.einsum("ij,ij->i", folds(points) - points, part.normals)
        points = points + part.normals * np.maximum(shift, -0.003)[:, None]
    return blended(points, part.weights.astype(np.float64), bones)


def figure(
    posed: Posed, materials: Mapping[str, Material], skin_rgb: F64, hair_rgb: F64, iris_rgb: F64, tile_m: float = 0.2, plain: bool = False
) -> Asset:
    """One asset. materials: of hair, top, bottom, shoes and soles, by the first word of a part's name, and `skin`, `eyes`; their base
    colours are those of the cloth, while skin, head and eyes are coloured by linear skin_rgb, hair_rgb, iris_rgb (3,). tile_m: width of
    textures. plain: what is bare has one colour, and the texture of its material, if any."""
    build = posed.build
    covers = (f"top_{build.top}", f"bottom_{build.bottom}")
    meshes = []
    for name in build.parts:
        part, points = shape(name, build.feminine), posed.vertices_m[name]
        under = covers if name in ("skin", "legs") else covers[:1] if name.startswith("bottom") else ()
        seen = ~hidden(name, under, build.feminine) if under else np.ones(len(part.faces), dtype=np.bool_)
        kind = name.split("_")[0]
        bare = name in (*MANNEQUIN, "skin", "legs")
        normals = posed.normals[name][part.pick]
        colors = _colors("" if plain else name, build.feminine, len(part.vertices_m), skin_rgb, hair_rgb, iris_rgb) if bare else None
        meshes.append(
            Mesh(
                points[part.pick].astype(np.float32),
                part.corner_faces[seen],
                normals.astype(np.float32),
                None if bare and not plain else (part.uv_m / tile_m).astype(np.float32),
                None if colors is None else colors[part.pick].astype(np.float32),
                materials["eyes" if name == "eyes" else "skin" if bare else kind],
            )
        )
    return Asset("person", tuple(meshes), _keypoints(posed))


def _colors(name: str, feminine: float, count: int, skin_rgb: F64, hair_rgb: F64, iris_rgb: F64) -> F64:
    """(n, 4) linear rgba of what is bare."""
    colors = np.tile(skin_rgb, (count, 1))
    if name == "head":
        lip, brow, flush = tinges(feminine).T[..., None]
        colors = colors * (1 - flush * np.array([-0.03, 0.14, 0.12]))
        colors = colors + lip * (colors * np.array([0.86, 0.60, 0.61]) - colors)
        colors = colors + 0.85 * brow * (0.8 * hair_rgb - colors)
    elif name == "eyes":
        ring = np.arange(count) % (count // 2) // 20
        colors = np.where((ring < 3)[:, None], 0.01, np.where((ring < 6)[:, None], iris_rgb, np.array([0.78, 0.76, 0.74])))
    return np.column_stack([colors, np.ones(count)])


# --- keypoints --------------------------------------------------------------------------------------------------------


def _keypoints(posed: Posed) -> tuple[Keypoint, ...]:
    found = []
    thick = 0.012 if posed.build.top == "jumper" else 0.0
    girth = float(posed.build.proportions.scales()["left_thigh"][0])
    for name in _NAMES:
        which, _, point = name.rpartition("_")
        if point in _JOINTS:
            link, below_m = _JOINTS[point]
            x, y, z = posed.joints[f"{which}_{link}"][:3, 3].tolist()
            found.append(Keypoint(name, (x, y, z), below_m=below_m * girth + thick))
        else:
            at = _ON_HEAD[point]
            part = "eyes" if point == "eye" else "head"
            x, y, z = _attached(posed, part, (at[0], -at[1] if which == "right" else at[1], at[2])).tolist()
            found.append(Keypoint(name, (x, y, z)))
    return tuple(found)


def _attached(posed: Posed, part: str, point_head_m: tuple[float, float, float]) -> F64:
    """On the posed surface, as it is drawn."""
    triangle, weights = marks(part, point_head_m, posed.build.feminine)
    corners = posed.vertices_m[part][shape(part, posed.build.feminine).faces[triangle]].astype(np.float32).astype(np.float64)
    return np.asarray(weights @ corners)


# --- on the ground ----------------------------------------------------------------------------------------------------


@cache
def _sole(feminine: float) -> F64:
    """Where a left sole touches the ground, in the foot's frame (n, 3)."""
    part = shape("soles", feminine)
    left = part.vertices_m[part.vertices_m[:, 1] > 0]
    local = transform(np.asarray(np.linalg.inv(bind()["left_foot"]), dtype=np.float64), left)
    return np.asarray(local[local[:, 2] < local[:, 2].min() + 0.004])


def planted(build: Build, angles: Mapping[str, tuple[float, ...]], steps: int = 24) -> dict[str, tuple[float, ...]]:
    """`angles` with both soles flat on one ground: the leg that reaches lower is bent at knee and hip until they do, and ankles make up
    for the slope of the shins, as far as their limits go."""
    body, scale = skeleton(build.proportions), build.proportions.scales()["left_foot"]
    found = {name: tuple(values) for name, values in body.checked(angles).items()}
    foot = body.joints["left_foot"].limits

    def level(which: str) -> None:
        pitch = found[f"{which}_thigh"][0] - found[f"{which}_shin"][0]
        roll = found[f"{which}_thigh"][1]
        found[f"{which}_foot"] = (
            min(foot[0][1], max(foot[0][0], -pitch)),
            min(foot[1][1], max(foot[1][0], -roll)),
            found[f"{which}_foot"][2],
        )

    def lowest(which: str) -> float:
        level(which)
        frame = body.poses(found)[f"{which}_foot"]
        sole = _sole(build.feminine) * scale * (1, 1 if which == "left" else -1, 1)
        return float(transform(frame, sole)[:, 2].min())

    longer, other = sorted(("left", "right"), key=lowest)
    target = lowest(other)
    hip, knee = found[f"{longer}_thigh"], found[f"{longer}_shin"][0]
    low, high = 0.0, math.radians(70)
    for _ in range(steps):
        bent = (low + high) / 2
        found[f"{longer}_shin"] = (min(body.joints[f"{longer}_shin"].limits[0][1], knee + bent),)
        found[f"{longer}_thigh"] = (min(math.radians(120), hip[0] + bent / 2), *hip[1:])
        low, high = (bent, high) if lowest(longer) < target else (low, bent)
    return found


_TRUNK = ("pelvis", "spine", "chest", "neck", "head", "left_thigh", "right_thigh")


def sunk_m(posed: Posed) -> float:
    """How deep forearms and hands go into trunk, thighs and head, or into each other; 0 where they are apart."""
    from scipy.spatial import cKDTree

    trunk_points, trunk_normals = [], []
    arms: dict[str, list[F64]] = {"left": [], "right": []}
    normals: dict[str, list[F64]] = {"left": [], "right": []}
    for name in posed.build.parts:
        if name in ("shoes", "soles", "legs", "eyes"):
            continue
        points, across = posed.vertices_m[name], posed.normals[name]
        weights = shape(name, posed.build.feminine).weights
        if not name.endswith("_hand") and name != "skin":
            still = weights[:, [BONES.index(bone) for bone in _TRUNK]].sum(1) > 0.9
            trunk_points.append(points[still])
            trunk_normals.append(across[still])
        for which in arms:
            lower = weights[:, [BONES.index(f"{which}_{bone}") for bone in ("forearm", "wrist", "hand")]].sum(1) > 0.95
            arms[which].append(points[lower][::3])
            normals[which].append(across[lower][::3])
    left, right = (np.concatenate(arms[which]) for which in ("left", "right"))
    trunk, outward = np.concatenate(trunk_points), np.concatenate(trunk_normals)
    deepest = 0.0
    for points, others, directions in ((left, trunk, outward), (right, trunk, outward), (left, right, np.concatenate(normals["right"]))):
        away, nearest = cKDTree(others).query(points, distance_upper_bound=0.12)
        near = np.isfinite(away)
        height = np.einsum("ij,ij->i", points[near] - others[nearest[near]], directions[nearest[near]])
        deepest = max(deepest, -float(height.min(initial=0.0)))
    return deepest
