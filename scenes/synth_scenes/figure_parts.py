"""The meshes of the human figure: each part meshed once a process in the pose it is modelled in, with the bones that move it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from synth.compose.deform import nearest, noise, surface_normals
from synth.geometry import transform
from synth.rand import Stream
from synth.types import F32, F64, I32, Bool, Index
from synth_scenes import figure_shapes as shapes
from synth_scenes.figure_shapes import EYE_M, EYE_RADIUS_M, SIDES, bind, body
from synth_scenes.implicit import Part, Solid, cut, half_space, mesh_of, united
from synth_scenes.skeleton import skeleton

BONES = tuple(link.name for link in skeleton().links)
_BLEND_M = 0.055  # how far from a joint two bones share the skin
_TILES = {"trunk": 0.15, "arm": 0.05, "leg": 0.08}  # radius that texture is wrapped around, m


@dataclass(frozen=True, eq=False)
class Shape:
    """A part in the pose it is modelled in. vertices_m (n, 3), normals (n, 3), weights (n, bones); faces (m, 3) of them. What is drawn are
    corners: corner i is vertex pick[i], with uv_m (k, 2) in metres of cloth; corner_faces (m, 3)."""

    vertices_m: F64
    normals: F64
    faces: I32
    weights: F32
    pick: Index
    corner_faces: I32
    uv_m: F64


@cache
def shape(name: str, feminine: float) -> Shape:
    """A part by its name: `skin` of a dressed figure or `bare`, all of it; `left_hand`, `right_hand`, `legs`, `head`, `eyes`, `hair_STYLE`,
    `top_KIND`, `bottom_KIND`, `shoes`, `soles`."""
    if name == "eyes":
        vertices, faces = _eyes()
    else:
        solid, step_m = _solid(name, feminine)
        parts = [mesh_of(part, step_m) for part in solid]
        starts = np.cumsum([0, *(len(v) for v, _ in parts)])
        vertices = np.concatenate([v for v, _ in parts])
        faces = np.concatenate([f + start for (_, f), start in zip(parts, starts, strict=False)]).astype(np.int32)
    if name.startswith("hair"):
        vertices = _tousled(vertices, faces, *_LOCKS.get(name[5:], (0.0016, 0.03, 0.3)))
    weights = _rigid(vertices, "head") if name.startswith(("eyes", "hair")) and name != "hair_long" else bone_weights(vertices, feminine)
    if name in ("shoes", "soles"):
        weights = _on_feet(vertices)
    if name.startswith(("skin", "bare", "top", "bottom", "legs", "hair_long")):
        weights = _smoothed(weights, faces, 6)
    pick, corner_faces, uv = _unwrapped(vertices, faces, feminine) if name.startswith(("top", "bottom")) else _plain(vertices, faces)
    return Shape(vertices, surface_normals(vertices, faces), faces, weights.astype(np.float32), pick, corner_faces, uv)


_LOCKS = {"curls": (0.0055, 0.028, 1.0), "long": (0.0028, 0.022, 0.12), "bob": (0.0024, 0.022, 0.15), "crop": (0.0006, 0.02, 1.0)}


def _tousled(vertices: F64, faces: I32, depth_m: float, wide_m: float, slope: float) -> F64:
    """Hair in locks, wide_m across and the longer the smaller slope is; outward only in the mean."""
    shaken = noise(Stream(0, 0, ("hair",)), depth_m * math.sqrt(3), wide_m)
    squeezed = vertices * (1, 1, slope)
    normals = surface_normals(vertices, faces)
    shift = np.einsum("ij,ij->i", shaken(squeezed) - squeezed, normals)
    return np.asarray(vertices + normals * np.maximum(shift, -depth_m)[:, None])


def _solid(name: str, feminine: float) -> tuple[list[Part], float]:
    limbs = body(feminine)
    if name == "head":
        return [cut(united([limbs["head"], limbs["neck"]], 0.02), half_space((0, 0, 1.462), (0, 0, 1)))], 0.0062
    if name == "skin":
        arms = [limbs[f"{which}_{link}"] for which in SIDES for link in ("clavicle", "upper_arm", "forearm", "wrist")]
        whole = united([limbs["trunk"], limbs["neck"], *arms], 0.03)
        whole = cut(whole, half_space((0, 0, 1.475), (0, 0, -1)))
        return [cut(whole, half_space((0, 0, 0.99), (0, 0, 1)))], 0.0115
    if name == "bare":
        limbs_ = [name for name in limbs if name != "head" and not name.endswith("hand")]
        return [cut(united([limbs[name] for name in limbs_], 0.03), half_space((0, 0, 1.475), (0, 0, -1)))], 0.0105
    if name.endswith("_hand"):
        wrist = name.replace("hand", "wrist")
        return [cut(united([limbs[name], limbs[wrist]], 0.012), _before(wrist, -0.085))], 0.0055
    if name == "legs":
        return [united([limbs[f"{which}_{link}"] for link in ("thigh", "shin")], 0.03) for which in SIDES], 0.013
    if name == "shoes":
        return [shapes.shoe(which)[0] for which in SIDES], 0.010
    if name == "soles":
        return [shapes.shoe(which)[1] for which in SIDES], 0.010
    kind = name.split("_")[1]
    if name.startswith("hair"):
        found = shapes.hair(kind)
        if found is None:
            raise ValueError("a bald head has no hair to mesh")
        return [found], 0.0095
    return [(shapes.top if name.startswith("top") else shapes.bottom)(kind, feminine)], 0.0135


def _before(link: str, z_m: float) -> Solid:
    frame = bind()[link]
    return half_space(transform(frame, np.array([0, 0, z_m])).tolist(), (-frame[:3, 2]).tolist())


def _eyes() -> tuple[F64, I32]:
    """Two balls whose poles look forward, so that iris and pupil are rings."""
    polar, around = np.radians([0, 9, 14, 15, 22, 29, 30, 40, 60, 90]), np.linspace(0, 2 * math.pi, 20, endpoint=False)
    ring = np.stack(
        [
            np.repeat(np.cos(polar)[:, None], 20, 1),
            np.sin(polar)[:, None] * np.cos(around),
            np.sin(polar)[:, None] * np.sin(around),
        ],
        -1,
    ).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(len(polar) - 1), np.arange(20), indexing="ij")
    a, b, c, d = i * 20 + j, i * 20 + (j + 1) % 20, (i + 1) * 20 + (j + 1) % 20, (i + 1) * 20 + j
    faces = np.concatenate([np.stack([a, d, c], -1).reshape(-1, 3), np.stack([a, c, b], -1)[1:].reshape(-1, 3)])
    middles = [np.array(EYE_M) * (1, s, 1) for s in (1, -1)]
    vertices = np.concatenate([transform(bind()["head"], ring * EYE_RADIUS_M + middle) for middle in middles])
    return vertices, np.concatenate([faces, faces + len(ring)]).astype(np.int32)


# --- what moves it ----------------------------------------------------------------------------------------------------

_NEAR = {  # what may share the skin of what: only neighbours, so that a hand does not pull at a hip
    "trunk": ("neck", "left_clavicle", "right_clavicle", "left_upper_arm", "right_upper_arm", "left_thigh", "right_thigh"),
    "neck": ("trunk", "head", "left_clavicle", "right_clavicle"),
    "head": ("neck",),
}
for _which in SIDES:
    _NEAR |= {
        f"{_which}_clavicle": ("trunk", "neck", f"{_which}_upper_arm"),
        f"{_which}_upper_arm": ("trunk", f"{_which}_clavicle", f"{_which}_forearm"),
        f"{_which}_forearm": (f"{_which}_upper_arm", f"{_which}_wrist"),
        f"{_which}_wrist": (f"{_which}_forearm", f"{_which}_hand"),
        f"{_which}_hand": (f"{_which}_wrist",),
        f"{_which}_thigh": ("trunk", f"{_which}_shin"),
        f"{_which}_shin": (f"{_which}_thigh", f"{_which}_foot"),
        f"{_which}_foot": (f"{_which}_shin",),
    }
_GROUPS = tuple(_NEAR)


def bone_weights(points: F64, feminine: float) -> F64:
    """(n, bones): by how near the solids of the bones are; those of the trunk by height."""
    limbs = body(feminine)
    away = np.stack([limbs[name].solid(points) for name in _GROUPS], axis=1)
    first = away.argmin(axis=1)
    allowed = np.array([[other == name or other in _NEAR[name] for other in _GROUPS] for name in _GROUPS])
    near = np.maximum(0, 1 - (away - away.min(axis=1, keepdims=True)) / _BLEND_M) ** 2 * allowed[first]
    near /= near.sum(axis=1, keepdims=True)
    weights = np.zeros((len(points), len(BONES)))
    for i, name in enumerate(_GROUPS[1:], start=1):
        weights[:, BONES.index(name)] = near[:, i]
    spine, chest = (np.clip((points[:, 2] - low) / (high - low), 0, 1) for low, high in ((1.00, 1.12), (1.15, 1.29)))
    spine, chest = (s * s * (3 - 2 * s) for s in (spine, chest))
    for name, share in (("pelvis", 1 - spine), ("spine", spine * (1 - chest)), ("chest", spine * chest)):
        weights[:, BONES.index(name)] = near[:, 0] * share
    return weights


def _rigid(vertices: F64, bone: str) -> F64:
    weights = np.zeros((len(vertices), len(BONES)))
    weights[:, BONES.index(bone)] = 1
    return weights


def _on_feet(vertices: F64) -> F64:
    left = vertices[:, 1:2] > 0
    return np.where(left, _rigid(vertices, "left_foot"), _rigid(vertices, "right_foot"))


def _smoothed(weights: F64, faces: I32, rounds: int) -> F64:
    """Averaged with their neighbours', so that no crease is left where another bone comes first."""
    from scipy.sparse import coo_array, diags_array

    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    n = len(weights)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (n, n)).tocsr()
    mean = diags_array(1 / np.maximum(graph.sum(axis=1), 1)) @ graph
    for _ in range(rounds):
        weights = 0.5 * weights + 0.5 * (mean @ weights)
    return np.asarray(weights)


# --- cloth ------------------------------------------------------------------------------------------------------------


def _plain(vertices: F64, faces: I32) -> tuple[Index, I32, F64]:
    return np.arange(len(vertices)), faces, vertices[:, [1, 2]]


def _unwrapped(vertices: F64, faces: I32, feminine: float) -> tuple[Index, I32, F64]:
    """Cloth is laid around trunk, arms and legs, with seams at the back and where they meet."""
    limbs = body(feminine)
    tubes = [("trunk", None), *((kind, which) for kind in ("arm", "leg") for which in SIDES)]
    solids = {"arm": ("upper_arm", "forearm", "wrist"), "leg": ("thigh", "shin")}
    middle = vertices[faces].mean(axis=1)
    away = [
        limbs["trunk"].solid(middle)
        if which is None
        else np.min([limbs[f"{which}_{link}"].solid(middle) for link in solids[kind]], axis=0) + 0.012
        for kind, which in tubes
    ]
    group = np.argmin(away, axis=0)
    uv = np.zeros((len(faces), 3, 2))
    for i, (kind, which) in enumerate(tubes):
        chosen = group == i
        frame = np.eye(4) if which is None else bind()[f"{which}_{solids[kind][0]}"]
        local = (vertices[faces[chosen]] - frame[:3, 3]) @ frame[:3, :3]
        angle = np.arctan2(local[..., 1], local[..., 0])
        wrapped = angle.max(axis=1, keepdims=True) - angle > math.pi
        uv[chosen, :, 0] = np.where(wrapped, angle + 2 * math.pi, angle) * _TILES[kind]
        uv[chosen, :, 1] = local[..., 2]
    keys = np.concatenate([faces.reshape(-1, 1), np.repeat(group, 3)[:, None], np.round(uv.reshape(-1, 2) * 1e6)], axis=1)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return faces.reshape(-1)[first].astype(np.intp), inverse.reshape(-1, 3).astype(np.int32), uv.reshape(-1, 2)[first]


@cache
def hidden(name: str, under: tuple[str, ...], feminine: float) -> Bool:
    """(m,) of a part's faces: those well below other parts, which are not drawn."""
    found = shape(name, feminine)
    covered = np.zeros(len(found.faces), dtype=np.bool_)
    for other in under:
        (solid,), _ = _solid(other, feminine)
        covered |= (solid.solid(found.vertices_m) < -0.005)[found.faces].all(axis=1)
    return covered


# --- marks on the head ------------------------------------------------------------------------------------------------


@cache
def marks(name: str, point_head_m: tuple[float, float, float], feminine: float) -> tuple[int, F64]:
    """The triangle of a part, and weights (3,) of its corners, nearest to a point in the head's frame."""
    found = shape(name, feminine)
    triangle, weights, _ = nearest(transform(bind()["head"], np.array(point_head_m)), found.vertices_m[found.faces])
    return triangle, weights


@cache
def tinges(feminine: float) -> F64:
    """(n, 3) of the head's vertices: how much each is lip, brow and flushed, 0 to 1."""
    inverse = np.asarray(np.linalg.inv(bind()["head"]), dtype=np.float64)
    x, y, z = transform(inverse, shape("head", feminine).vertices_m).T
    front = np.clip((x - 0.06) / 0.02, 0, 1)
    across = np.abs(y)
    lip = _soft(1 - np.hypot(across / 0.0245, (z - 0.0085) / np.where(z > 0.0085, 0.0125, 0.0115)), 0.25) * front
    arch = 0.105 + 0.004 * np.sin(np.clip((across - 0.012) / 0.042, 0, 1) * math.pi)
    brow = _soft(1 - np.abs(z - arch) / (0.0058 - 0.0014 * feminine), 0.5) * _soft((0.027 - np.abs(across - 0.0345)) / 0.006, 1) * front
    cheek = (
        _soft(1 - np.hypot((across - 0.042) / 0.025, (z - 0.045) / 0.022), 1) + _soft(1 - np.hypot(y / 0.014, (z - 0.046) / 0.012), 1) * 0.7
    )
    ear = _soft((across - 0.074) / 0.01, 1) * 0.7
    return np.stack([lip, brow, np.clip(cheek * front + ear, 0, 1)], axis=1)


def _soft(value: F64, width: float) -> F64:
    t = np.clip(value / width, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
