"""Falling and settling: bodies rest on one another without sinking in, stay, and come out the same in any process."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from scipy.spatial import ConvexHull, cKDTree
from synth_scenes.library import find

from synth.assets import load_asset
from synth.compose import convex, shapes
from synth.compose.arrange import above
from synth.compose.convex import convex_parts
from synth.compose.physics import Block, settle
from synth.errors import AssetError, ConfigError, MissingPartError, SceneError
from synth.rand import rng_for
from synth.types import Asset

DEEP_M = 0.002
KINDS = ("soda_can", "banana", "cracker_box", "gelatin_box", "rubiks_cube", "mustard_bottle", "lemon")


def at(x: float, y: float, z: float) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, 3] = x, y, z
    return pose


FLOOR = Block((4.0, 4.0, 0.2), at(0, 0, -0.1))
BOX = [
    FLOOR,
    *(Block((0.02, 0.5, 4.0), at(side * 0.26, 0, 2)) for side in (-1, 1)),
    *(Block((0.5, 0.02, 4.0), at(0, side * 0.21, 2)) for side in (-1, 1)),
]


@cache
def solid(asset: Asset) -> trimesh.Trimesh:
    mesh = trimesh.util.concatenate([trimesh.Trimesh(m.vertices_m, m.faces, process=False) for m in asset.meshes])
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    return mesh


@cache
def caster(asset: Asset) -> Any:
    return trimesh.ray.ray_pyembree.RayMeshIntersector(solid(asset))


@cache
def sampled(asset: Asset) -> tuple[np.ndarray, np.ndarray]:
    """Points all over what is rendered, about a millimetre or two apart, and the triangle each is on."""
    mesh = solid(asset)
    points, faces = trimesh.sample.sample_surface(mesh, int(np.clip(mesh.area / 1.5e-6, 4000, 30000)), seed=1)
    return np.asarray(points), np.asarray(faces)


def surface(asset: Asset) -> np.ndarray:
    return sampled(asset)[0]


def moved(pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ pose[:3, :3].T + pose[:3, 3]


def parts_depth_m(one: tuple[Asset, np.ndarray], other: tuple[Asset, np.ndarray]) -> float:
    """How far collision hulls are in one another: the least way out, from the hull of the differences of all corners."""
    deepest = 0.0
    for a, b in itertools.product(convex_parts(one[0]), convex_parts(other[0])):
        p, q = moved(one[1], a), moved(other[1], b)
        if (p.min(0) > q.max(0)).any() or (q.min(0) > p.max(0)).any():
            continue
        offsets = ConvexHull((p[:, None] - q[None]).reshape(-1, 3)).equations[:, 3]
        deepest = max(deepest, float(-offsets.max()))
    return deepest


def surface_depth_m(one: tuple[Asset, np.ndarray], other: tuple[Asset, np.ndarray]) -> float:
    """How deep what is seen of one is in what is seen of the other: by rays for what is inside, by the nearest point for how deep."""
    points = moved(np.linalg.inv(other[1]), moved(one[1], surface(one[0])))
    low, high = other[0].vertices_m.min(0), other[0].vertices_m.max(0)
    points = points[((points > low) & (points < high)).all(1)]
    if not len(points):
        return 0.0
    inside = np.ones(len(points), bool)
    for direction in ((0.36, 0.48, 0.8), (-0.6, 0.64, -0.48), (0.8, -0.36, 0.48)):  # a scan has pin-holes: all three must agree
        _, hit = caster(other[0]).intersects_id(points, np.tile(direction, (len(points), 1)), multiple_hits=True)
        inside &= np.bincount(hit, minlength=len(points)) % 2 == 1
    points = points[inside]
    nearest = sampled(other[0])[1][cKDTree(surface(other[0])).query(points, 12)[1]].reshape(-1)
    on = trimesh.triangles.closest_point(solid(other[0]).triangles[nearest], np.repeat(points, 12, axis=0))
    return float(np.linalg.norm(on.reshape(-1, 12, 3) - points[:, None], axis=2).min(1).max(initial=0))


def check_apart(things: list[tuple[Asset, np.ndarray]]) -> None:
    boxes = [(v.min(0), v.max(0)) for v in (moved(pose, asset.vertices_m) for asset, pose in things)]
    for i, j in itertools.combinations(range(len(things)), 2):
        if (boxes[i][0] < boxes[j][1]).all() and (boxes[j][0] < boxes[i][1]).all():
            assert parts_depth_m(things[i], things[j]) <= DEEP_M
            for pair in ((things[i], things[j]), (things[j], things[i])):
                assert surface_depth_m(*pair) <= DEEP_M, [asset.name for asset, _ in pair]


def brick(x: float, y: float, z: float, name: str = "brick") -> Asset:
    return Asset(name, (shapes.box((x, y, z)),))


def pile(count: int, seed: int = 0) -> list[tuple[Asset, np.ndarray]]:
    rng = rng_for(seed, 0)
    assets = [load_asset(find("object", KINDS[int(rng.child("kind", i).integers(len(KINDS)))])) for i in range(count)]
    return list(zip(assets, above(assets, 0.5, 0.4, rng), strict=True))


@cache
def settled(count: int) -> tuple[tuple[Asset, np.ndarray], ...]:
    things = pile(count)
    return tuple(zip((asset for asset, _ in things), settle(things, BOX), strict=True))


@pytest.mark.parametrize("deep_m", [0.0, 0.003])
def test_what_measures_depth_tells_bodies_that_touch_from_those_that_overlap(deep_m: float) -> None:
    can = load_asset(find("object", "soda_can"))
    low, high = can.vertices_m[:, 2].min(), can.vertices_m[:, 2].max()
    two = [(can, np.eye(4)), (can, at(0, 0, high - low - deep_m))]
    assert parts_depth_m(*two) == pytest.approx(deep_m, abs=0.0005)
    block = brick(0.1, 0.1, 0.1)
    assert surface_depth_m((block, at(0.01, 0.02, 0.1 - deep_m)), (block, np.eye(4))) == pytest.approx(deep_m, abs=0.0002)


# --- settling ---------------------------------------------------------------------------------------------------------


def test_thirty_bodies_settle_apart_in_the_box_and_stay() -> None:
    things = list(settled(30))
    for asset, pose in things:
        vertices = moved(pose, asset.vertices_m)
        assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), rtol=0, atol=1e-12)
        assert vertices[:, 2].min() > -DEEP_M
        assert (np.abs(vertices[:, :2]) < (0.25 + DEEP_M, 0.2 + DEEP_M)).all()
    check_apart(things)
    # Each touches something: the floor, a wall or another body.
    clouds = [moved(pose, surface(asset)) for asset, pose in things]
    for i, cloud in enumerate(clouds):
        low, high = cloud.min(0) - 0.01, cloud.max(0) + 0.01
        around = np.concatenate([c[((c > low) & (c < high)).all(1)] for j, c in enumerate(clouds) if j != i])
        between = cKDTree(cloud).query(around, distance_upper_bound=0.02)[0].min(initial=1)
        gap = min(cloud[:, 2].min(), (0.25 - np.abs(cloud[:, 0])).min(), (0.2 - np.abs(cloud[:, 1])).min(), between)
        assert gap < DEEP_M + 0.001, "nothing floats"


def test_at_rest_nothing_moves_for_another_second_and_hardly_any_energy_is_left() -> None:
    import mujoco

    from synth.compose import physics

    things = list(settled(30))
    model = physics._model(mujoco, things, BOX, 0.6)
    model.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_ENERGY
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    before, potential = data.qpos.reshape(-1, 7)[:, :3].copy(), float(data.energy[0])
    kinetic = []
    for _ in range(200):
        mujoco.mj_step(model, data)
        kinetic.append(float(data.energy[1]))
    assert np.linalg.norm(data.qpos.reshape(-1, 7)[:, :3] - before, axis=1).max() < DEEP_M
    assert np.median(kinetic) < 1e-4, "joules, of ten kilogrammes"
    assert abs(float(data.energy[0]) - potential) < 0.02, "nothing fell: ten kilogrammes by 0.2 mm"


def test_the_same_call_gives_the_same_poses_in_another_process() -> None:
    code = (
        "import hashlib, numpy as np\nfrom tests.compose.test_physics import BOX, pile, settle\n"
        "print(hashlib.sha256(np.array(settle(pile(8), BOX)).tobytes()).hexdigest())"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    here = settle(pile(8), BOX)
    assert hashlib.sha256(np.array(here).tobytes()).hexdigest() == done.stdout.split()[-1]
    assert not (root / "MUJOCO_LOG.TXT").exists()


def test_a_brick_lands_flat_and_another_on_it() -> None:
    flat = brick(0.2, 0.1, 0.05)
    low, high = settle([(flat, at(0, 0, 0.03)), (flat, at(0.02, 0, 0.1))], [FLOOR])
    assert low[:3, 3] == pytest.approx([0, 0, 0.025], abs=0.001)
    assert high[:3, 3] == pytest.approx([0.02, 0, 0.075], abs=0.002)
    assert high[2, 2] == pytest.approx(1, abs=1e-4)


def test_a_fixed_mesh_holds_what_falls_on_it() -> None:
    table = brick(0.3, 0.3, 0.1, "table")
    (pose,) = settle([(brick(0.05, 0.05, 0.05), at(0.1, 0, 0.5))], [(table, at(0, 0, 0.2))])
    assert pose[:3, 3] == pytest.approx([0.1, 0, 0.275], abs=0.002)


def test_a_ball_stops_in_the_bowl_of_a_concave_mesh() -> None:
    profile = [[0.0, 0.0], [0.1, 0.0], [0.1, 0.06], [0.09, 0.06], [0.09, 0.01], [0.0, 0.01]]
    bowl = Asset("bowl", (shapes.revolve(profile, 32),))
    ball = Asset("ball", (shapes.revolve([[0.02 * np.sin(a), -0.02 * np.cos(a)] for a in np.linspace(0, np.pi, 17)], 24),))
    (pose,) = settle([(ball, at(0.03, 0, 0.1))], [FLOOR, (bowl, np.eye(4))])
    assert pose[2, 3] == pytest.approx(0.03, abs=0.003), "on the bowl's floor, not on a lid"


def test_nothing_falls_in_no_time() -> None:
    assert settle([], [FLOOR]) == ()


def test_what_does_not_settle_names_who_moves_how_fast() -> None:
    with pytest.raises(SceneError, match=r"1 bodies did not come to rest in 0.4 s \(80 steps\); the fastest: 'brick' \(body 0\) at \d+"):
        settle([(brick(0.1, 0.1, 0.1), at(0, 0, 3))], [FLOOR], limit_s=0.4)
    with pytest.raises(SceneError, match=r"'brick' \(body [01]\) and 'brick' \(body [01]\) overlap by \d+.\d mm at the start"):
        settle([(brick(0.1, 0.1, 0.1), at(0, 0, 0.1)), (brick(0.1, 0.1, 0.1), at(0.05, 0, 0.1))], [FLOOR])
    with pytest.raises(SceneError, match=r"what is fixed and 'brick' \(body 0\) overlap by 30.0 mm"):
        settle([(brick(0.1, 0.1, 0.1), at(0, 0, 0.02))], [FLOOR])
    with pytest.raises(ConfigError, match=r"Block: size_m must be three lengths above 0"):
        Block((1.0, 0.0, 1.0), np.eye(4))


def test_without_mujoco_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(MissingPartError, match=r"pip install 'synth\[physics\]'"):
        settle([(brick(0.1, 0.1, 0.1), at(0, 0, 1))], [FLOOR])


# --- convex parts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["banana", "soda_can", "mustard_bottle", "lemon", "milk_carton"])
def test_parts_cover_the_surface_seen_and_stand_out_of_it_by_little(kind: str) -> None:
    asset = load_asset(find("object", kind))
    hulls = [ConvexHull(part) for part in convex_parts(asset)]
    seen = surface(asset)
    outside = np.min([(seen @ h.equations[:, :3].T + h.equations[:, 3]).max(1) for h in hulls], axis=0)
    assert outside.max() < DEEP_M / 2, "nothing sinks in"
    tree, over = cKDTree(seen), []
    for i, hull in enumerate(hulls):
        points, _ = trimesh.sample.sample_surface(trimesh.Trimesh(hull.points, hull.simplices, process=False), 1500, seed=0)
        for other in hulls[:i] + hulls[i + 1 :]:
            points = points[(points @ other.equations[:, :3].T + other.equations[:, 3]).max(1) > 1e-5]
        gap = tree.query(points)[0]
        far = np.flatnonzero(gap > 0.001)
        if len(far):
            gap[far[solid(asset).contains(points[far])]] = 0
        over.append(gap)
    gaps = np.concatenate(over)
    assert np.quantile(gaps, 0.9) < DEEP_M, "nothing that lies on it floats"
    assert gaps.max() < 0.006, "a narrow groove may be bridged"


def test_a_convex_body_is_one_part_and_a_sheet_is_none() -> None:
    assert len(convex_parts(brick(0.1, 0.2, 0.3))) == 1
    assert len(convex_parts(Asset("can", (shapes.cylinder(0.03, 0.1),)))) == 1
    angle = Asset("angle", (shapes.extrude([[0, 0], [0.1, 0], [0.1, 0.02], [0.02, 0.02], [0.02, 0.1], [0, 0.1]], 0.05),))
    assert len(convex_parts(angle)) == 2
    volume = sum(ConvexHull(part).volume for part in convex_parts(angle))
    assert volume == pytest.approx((0.1 * 0.02 + 0.08 * 0.02) * 0.05, rel=0.05)
    with pytest.raises(AssetError, match="asset 'sheet' is flat or a line"):
        convex_parts(Asset("sheet", (shapes.sheet(0.1, 0.1),)))


def test_parts_are_kept_in_the_cache_and_a_broken_file_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = convex_parts(brick(0.1, 0.1, 0.2))
    (file,) = tmp_path.rglob("*.npz")
    calls = []
    decompose = convex._decompose
    monkeypatch.setattr(convex, "_decompose", lambda triangles: calls.append(1) or decompose(triangles))
    assert all(np.array_equal(a, b) for a, b in zip(first, convex_parts(brick(0.1, 0.1, 0.2)), strict=True))
    assert not calls
    file.write_bytes(file.read_bytes()[:100])
    assert all(np.array_equal(a, b) for a, b in zip(first, convex_parts(brick(0.1, 0.1, 0.2)), strict=True))
    assert calls
    assert [f.suffix for f in tmp_path.rglob("*") if f.is_file()] == [".npz"]
