"""Bodies that fall and settle, by MuJoCo (extra `physics`).

A body collides by the convex parts of its mesh (synth.compose.convex). The same call gives the same poses, bit for bit, in whatever
process: one thread, a fixed step, nothing random, no clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from synth.compose.convex import convex_parts
from synth.errors import ConfigError, MissingPartError, SceneError
from synth.types import F64, Asset, Xyz, frozen_array

Placed: TypeAlias = tuple[Asset, F64]
"""An asset and its world_from_object (4, 4)."""

_STEP_S = 0.005
_LOOK_STEPS, _PROOF_STEPS = 40, 200  # how far bodies went is measured over so many: the tremble of contacts is no motion
_SLOW_M_S = 0.005  # worth looking whether they rest
_NUDGE_M_S = 0.005  # enough for what balances to tip within a second, too little to lift anything
_FASTEST_M_S = 1.0  # 5 mm a step: a fall that is faster would push a body into another, or through the wall of a mug
_DRAG_S = 0.4  # the time in which drag takes away most of a motion, so that what rolls comes to rest
_DENSITY_KG_M3 = 400.0  # of all alike: packs and cans of food
_DEEPEST_M = 0.002
_GAP_M = 0.0004  # half the distance at which bodies begin to push: contacts stay, where they would come and go, and piles do not tremble
_STIFFNESS = {"solref": (0.012, 1.0), "solimp": (0.98, 0.99, 0.001, 0.5, 2.0)}  # MuJoCo's own let the lowest of a pile sink by 1 mm


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A fixed box: its sides along the axes of its frame, its middle at the origin of it."""

    size_m: Xyz
    world_from_block: F64

    def __post_init__(self) -> None:
        object.__setattr__(self, "world_from_block", frozen_array(self.world_from_block, np.float64, (4, 4), "Block: world_from_block"))
        if len(self.size_m) != 3 or not all(0 < side < 1e4 for side in self.size_m):
            raise ConfigError(f"Block: size_m must be three lengths above 0, got {self.size_m}")


def settle(
    falling: Sequence[Placed],
    fixed: Sequence[Block | Placed],
    *,
    limit_s: float = 8.0,
    friction: float = 0.6,
    rest_m: float = 0.002,
) -> tuple[F64, ...]:
    """world_from_object (4, 4) of each falling asset once all rest on what is fixed and on one another.

    They start without motion at the poses given, where none may overlap another, and fall at up to 1 m/s. They rest when, stopped and
    nudged, no point of any goes farther than rest_m in a further second. friction: Coulomb's, of all surfaces. Raises SceneError where
    bodies overlap, or do not rest within limit_s of simulated time (steps of 5 ms); MissingPartError without the extra `physics`.
    """
    if not falling:
        return ()
    mujoco = _mujoco()
    with _quiet(mujoco):
        return _settle(mujoco, falling, fixed, limit_s, friction, rest_m)


def _settle(
    mujoco: Any, falling: Sequence[Placed], fixed: Sequence[Block | Placed], limit_s: float, friction: float, rest_m: float
) -> tuple[F64, ...]:
    middles = np.array([asset.box_object_m[0] for asset, _ in falling])
    reach_m = np.array([np.linalg.norm(asset.vertices_m - asset.box_object_m[0], axis=1).max() for asset, _ in falling])
    model = _model(mujoco, falling, fixed, friction)
    data = mujoco.MjData(model)
    names = [f"'{asset.name}' (body {i})" for i, (asset, _) in enumerate(falling)]
    mujoco.mj_forward(model, data)
    _check_overlap(model, data, names, "at the start")
    angle = np.arange(len(falling)) * (math.pi * (3 - math.sqrt(5)))  # the golden one: neighbours go apart
    nudges = _NUDGE_M_S * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    steps = 0
    while steps * _STEP_S < limit_s:
        speed = _advance(mujoco, model, data, reach_m, _LOOK_STEPS)
        steps += _LOOK_STEPS
        if not speed.max() <= _SLOW_M_S:
            continue
        # What balances, or creeps, looks slow; after a nudge it falls within a second.
        data.qvel[:] = data.qacc_warmstart[:] = 0
        data.qvel.reshape(-1, 6)[:, :2] = nudges
        speed = _advance(mujoco, model, data, reach_m, _PROOF_STEPS)
        steps += _PROOF_STEPS
        if speed.max() * _PROOF_STEPS * _STEP_S <= rest_m:
            _check_overlap(model, data, names, "at rest")
            return _poses(data, middles)
    fastest = ", ".join(f"{names[i]} at {speed[i] * 1000:.1f} mm/s" for i in np.argsort(-speed)[:3])
    raise SceneError(
        f"{len(falling)} bodies did not come to rest in {steps * _STEP_S:g} s ({steps} steps); the fastest: {fastest}. Raise limit_s, "
        "friction or rest_m, drop fewer, or give round ones a place to lie"
    )


def _advance(mujoco: Any, model: Any, data: Any, reach_m: F64, steps: int) -> F64:
    """The mean speed (n,) m/s of the point of each body that went farthest."""
    before = data.qpos.reshape(-1, 7).copy()
    for _ in range(steps):
        mujoco.mj_step(model, data)
        velocity = data.qvel.reshape(-1, 6)
        fastest = np.linalg.norm(velocity[:, :3], axis=1) + np.linalg.norm(velocity[:, 3:], axis=1) * reach_m
        velocity *= np.minimum(1, _FASTEST_M_S / np.maximum(fastest, 1e-9))[:, None]
    return _went(before, data.qpos.reshape(-1, 7), reach_m) / (steps * _STEP_S)


def _went(before: F64, now: F64, reach_m: F64) -> F64:
    """How far a point of each body went at most, (n,) m. before, now (n, 7): place and unit quaternion."""
    along = np.linalg.norm(now[:, :3] - before[:, :3], axis=1)
    turned = np.linalg.norm(now[:, 3:] - before[:, 3:] * np.sign((now[:, 3:] * before[:, 3:]).sum(1))[:, None], axis=1)
    return np.asarray(along + 4 * np.arcsin(np.minimum(1, turned / 2)) * reach_m)


def _check_overlap(model: Any, data: Any, names: Sequence[str], when: str) -> None:
    """MuJoCo's own depths; a body that was pressed through a thin wall would stay there."""
    if data.ncon == 0 or data.contact.dist[deepest := int(np.argmin(data.contact.dist))] > -_DEEPEST_M:
        return
    ids = [int(model.geom_bodyid[geom]) for geom in data.contact.geom[deepest]]
    one, other = (names[i - 1] if 0 < i <= len(names) else "what is fixed" for i in ids)
    raise SceneError(
        f"{one} and {other} overlap by {-data.contact.dist[deepest] * 1000:.1f} mm {when}; give bodies more room to start from"
    )


# --- MuJoCo -----------------------------------------------------------------------------------------------------------


def _mujoco() -> Any:
    try:
        import mujoco
    except ImportError as error:
        raise MissingPartError(f"physics needs mujoco: pip install 'synth[physics]' ({error})") from error
    if not hasattr(mujoco.mjtIntegrator, "mjINT_DISCRETE"):
        raise MissingPartError(f"physics needs mujoco 4.0 or newer, found {mujoco.__version__}: pip install 'synth[physics]'")
    return mujoco


@contextmanager
def _quiet(mujoco: Any) -> Iterator[None]:
    """Its warnings would go to the terminal and to a file in the working folder; what they tell, SceneError tells."""
    before, silent = mujoco.MjLogConfig.get(), mujoco.MjLogConfig.get()
    silent.logto_console = silent.logto_file = False
    silent.set()
    try:
        yield
    finally:
        before.set()


def _model(mujoco: Any, falling: Sequence[Placed], fixed: Sequence[Block | Placed], friction: float) -> Any:
    """Body i + 1 is the i-th falling one, its frame in the middle of its box; then come those that are fixed."""
    spec = mujoco.MjSpec()
    spec.compiler.usethread = False
    spec.option.timestep = _STEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_DISCRETE
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 100  # bodies that lean do not creep
    spec.option.iterations = 30
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET  # to the start, as if nothing had happened
    surface = {"friction": (friction, 0.005, 0.0001), "margin": _GAP_M, **_STIFFNESS}
    meshes: dict[Asset, list[str]] = {}

    def add(asset: Asset, world_from_object: F64) -> Any:
        middle = asset.box_object_m[0]
        position = world_from_object[:3, :3] @ middle + world_from_object[:3, 3]
        body = spec.worldbody.add_body(pos=position, quat=_quaternion(mujoco, world_from_object))
        if asset not in meshes:
            parts = convex_parts(asset)
            meshes[asset] = [f"{len(meshes)}_{i}" for i in range(len(parts))]
            for name, part in zip(meshes[asset], parts, strict=True):
                spec.add_mesh(name=name, uservert=(part - middle).reshape(-1), inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX)
        for name in meshes[asset]:
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, density=_DENSITY_KG_M3, **surface)
        return body

    for asset, pose in falling:
        add(asset, pose).add_joint(type=mujoco.mjtJoint.mjJNT_FREE)
    for thing in fixed:
        if isinstance(thing, Block):
            pose, half = thing.world_from_block, np.divide(thing.size_m, 2)
            quaternion = _quaternion(mujoco, pose)
            spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=half, pos=pose[:3, 3], quat=quaternion, **surface)
        else:
            add(*thing)
    model = spec.compile()
    chosen = slice(1, 1 + len(falling))
    inertia = np.column_stack([np.tile(model.body_mass[chosen], (3, 1)).T, np.tile(model.body_inertia[chosen].max(axis=1), (3, 1)).T])
    model.dof_damping[:] = inertia.reshape(-1) / _DRAG_S
    return model


def _quaternion(mujoco: Any, pose: F64) -> F64:
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(pose[:3, :3]).reshape(-1))
    return quaternion


def _poses(data: Any, middles: F64) -> tuple[F64, ...]:
    poses = np.tile(np.eye(4), (len(middles), 1, 1))
    poses[:, :3, :3] = data.xmat[1 : 1 + len(middles)].reshape(-1, 3, 3)
    poses[:, :3, 3] = data.xpos[1 : 1 + len(middles)] - np.einsum("nij,nj->ni", poses[:, :3, :3], middles)
    return tuple(poses)
