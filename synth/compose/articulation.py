"""Articulated bodies: links joined in a tree, each free to turn or slide against its parent within limits.

A pose is one number for each freedom, by the link's name: radians of a revolute or ball joint, metres of a prismatic one. The frame of a
link has its origin in its joint; at all zero it is turned as its parent's. However many links there are, a posed thing is one Asset,
so that it is one instance in the labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np

from synth.errors import ConfigError, known_names
from synth.geometry import transform
from synth.rand import Random, Stream, draw
from synth.types import F64, Asset, Keypoint, Mesh, Xyz

Angles: TypeAlias = Mapping[str, float | Sequence[float]]
"""A pose: by link, one number, or three of a ball joint; a link that is not named stays at its rest."""

_FREEDOMS = {"fixed": 0, "revolute": 1, "prismatic": 1, "ball": 3}


@dataclass(frozen=True, slots=True)
class Joint:
    """How a link moves against its parent. axes: unit, in the frame of the link at rest; one a freedom. limits: lowest and highest value of
    each, rad, or m of a prismatic joint. A ball joint turns about its first axis, then about its second as the first has turned it, then
    about its third (intrinsic Euler angles)."""

    kind: Literal["fixed", "revolute", "prismatic", "ball"] = "fixed"
    axes: tuple[Xyz, ...] = ()
    limits: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in _FREEDOMS:
            raise ConfigError(known_names("kind of joint", self.kind, _FREEDOMS))
        freedoms = _FREEDOMS[self.kind]
        limits = tuple((float(low), float(high)) for low, high in self.limits)
        axes = np.asarray(self.axes, dtype=np.float64).reshape(-1, 3)
        if len(axes) != freedoms or len(limits) != freedoms:
            raise ConfigError(f"a {self.kind} joint has {freedoms} axes and limits, got {len(axes)} axes and {len(limits)} limits")
        lengths = np.linalg.norm(axes, axis=1)
        if not (np.isfinite(lengths).all() and (lengths > 0).all()):
            raise ConfigError(f"Joint: axes must be finite and not zero, got {self.axes}")
        for low, high in limits:
            if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                raise ConfigError(f"Joint: limits must be finite, low <= high, got {low} and {high}")
        unit = tuple((float(x), float(y), float(z)) for x, y, z in axes / lengths[:, None])
        object.__setattr__(self, "axes", unit)
        object.__setattr__(self, "limits", limits)

    @classmethod
    def revolute(cls, axis: Xyz, low_rad: float, high_rad: float) -> Joint:
        """A hinge, counter-clockwise about its axis."""
        return cls("revolute", (axis,), ((low_rad, high_rad),))

    @classmethod
    def prismatic(cls, axis: Xyz, low_m: float, high_m: float) -> Joint:
        """A slide along its axis."""
        return cls("prismatic", (axis,), ((low_m, high_m),))

    @classmethod
    def ball(
        cls,
        limits_rad: Sequence[tuple[float, float]],
        axes: Sequence[Xyz] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    ) -> Joint:
        """Three turns about one point."""
        return cls("ball", tuple(axes), tuple(limits_rad))

    @property
    def rest(self) -> tuple[float, ...]:
        """Zero, or the limit nearest to it."""
        return tuple(min(high, max(low, 0.0)) for low, high in self.limits)

    def motion(self, values: Sequence[float]) -> F64:
        """(4, 4) from the moved link's frame to the one it has at rest."""
        moved = np.eye(4)
        if self.kind == "prismatic":
            moved[:3, 3] = np.multiply(self.axes[0], values[0])
        elif values:
            for axis, angle in zip(self.axes, values, strict=True):
                moved[:3, :3] = moved[:3, :3] @ turn(axis, angle)
        return moved


def turn(axis: Xyz, angle_rad: float) -> F64:
    """(3, 3) the rotation about a unit axis (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + math.sin(angle_rad) * cross + (1 - math.cos(angle_rad)) * cross @ cross)


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """A rigid part. origin_m: where its joint lies in its parent's frame. Its meshes and keypoints are in its own frame."""

    name: str
    parent: str | None = None
    origin_m: Xyz = (0.0, 0.0, 0.0)
    joint: Joint = Joint()
    meshes: tuple[Mesh, ...] = ()
    keypoints: tuple[Keypoint, ...] = ()


@dataclass(frozen=True, eq=False)
class Articulation:
    """A tree of links, each after its parent; the first has none, its frame is the object's."""

    name: str
    links: tuple[Link, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "links", tuple(self.links))
        if not self.links:
            raise ConfigError(f"articulation '{self.name}' has no link")
        known: set[str] = set()
        for link in self.links:
            where = f"articulation '{self.name}': link '{link.name}'"
            if link.name in known:
                raise ConfigError(f"{where} is there twice")
            if (link.parent is None) != (not known):
                raise ConfigError(f"{where}: the first link, and no other, must have no parent; got {link.parent!r}")
            if link.parent is not None and link.parent not in known:
                raise ConfigError(f"{where}: {known_names('link before it', link.parent, known)}")
            known.add(link.name)

    @cached_property
    def joints(self) -> dict[str, Joint]:
        """Of each link that can move, by its name."""
        return {link.name: link.joint for link in self.links if link.joint.kind != "fixed"}

    def checked(self, angles: Angles) -> dict[str, tuple[float, ...]]:
        """The values of all joints. Raises ConfigError naming joint, value and limits."""
        found = {name: joint.rest for name, joint in self.joints.items()}
        for name, given in angles.items():
            if name not in self.joints:
                raise ConfigError(f"articulation '{self.name}': {known_names('joint', name, self.joints)}")
            joint = self.joints[name]
            values = tuple(float(v) for v in given) if isinstance(given, Sequence) else (float(given),)
            if len(values) != len(joint.limits):
                raise ConfigError(f"articulation '{self.name}': joint '{name}' takes {len(joint.limits)} values, got {len(values)}")
            unit = "m" if joint.kind == "prismatic" else "rad"
            for i, (value, (low, high)) in enumerate(zip(values, joint.limits, strict=True)):
                if not low - 1e-9 <= value <= high + 1e-9:
                    which = f" about axis {i}" if joint.kind == "ball" else ""
                    raise ConfigError(
                        f"articulation '{self.name}': joint '{name}' must be in [{low:g}, {high:g}] {unit}{which}, got {value:g}"
                    )
            found[name] = values
        return found

    def poses(self, angles: Angles, world_from_root: F64 | None = None) -> dict[str, F64]:
        """world_from_link (4, 4) of each link. Without world_from_root: object_from_link. Raises ConfigError for values beyond limits."""
        values = self.checked(angles)
        found: dict[str, F64] = {}
        for link in self.links:
            at_rest = np.eye(4)
            at_rest[:3, 3] = link.origin_m
            if link.parent is not None:
                at_rest = found[link.parent] @ at_rest
            elif world_from_root is not None:
                at_rest = world_from_root @ at_rest
            found[link.name] = at_rest @ link.joint.motion(values.get(link.name, ()))
        return found

    def posed(self, angles: Angles) -> Asset:
        """One asset of all links' meshes and keypoints in the object frame."""
        object_from_link = self.poses(angles)
        return Asset(
            self.name,
            tuple(_moved(mesh, object_from_link[link.name]) for link in self.links for mesh in link.meshes),
            tuple(_moved_point(point, object_from_link[link.name]) for link in self.links for point in link.keypoints),
        )

    def draw(self, pose: Mapping[str, Any], rng: Stream) -> dict[str, tuple[float, ...]]:
        """The values of all joints: `pose` has a number or distribution for each freedom, as Angles has; what is not named rests. A value
        beyond its limits is moved to the limit, so that a distribution without bounds may stand here."""
        found: dict[str, Any] = {}
        for name, value in pose.items():
            drawn: Random[Any] = draw(value, rng, name)
            values = tuple(drawn) if isinstance(drawn, Sequence) else (drawn,)
            if name in self.joints and len(values) == len(limits := self.joints[name].limits):
                values = tuple(min(high, max(low, float(v))) for v, (low, high) in zip(values, limits, strict=True))
            found[name] = values
        return self.checked(found)


def _moved(mesh: Mesh, object_from_link: F64) -> Mesh:
    vertices = transform(object_from_link, mesh.vertices_m.astype(np.float64))
    normals = mesh.normals @ object_from_link[:3, :3].T
    return replace(mesh, vertices_m=vertices.astype(np.float32), normals=normals.astype(np.float32))


def _moved_point(point: Keypoint, object_from_link: F64) -> Keypoint:
    x, y, z = transform(object_from_link, np.array(point.xyz_object_m)).tolist()
    return replace(point, xyz_object_m=(x, y, z))
