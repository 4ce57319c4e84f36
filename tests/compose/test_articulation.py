"""Links turn and slide as worked out on paper, limits hold, and however many links there are, a posed thing is one instance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from synth.annotate import annotate, finish
from synth.compose.articulation import Articulation, Joint, Link
from synth.errors import ConfigError
from synth.geometry import transform
from synth.rand import Normal, Uniform, rng_for
from synth.render.flat import FlatSpec
from synth.types import Body, Category, Keypoint, World
from tests.shapes import box, camera

Y = (0.0, 1.0, 0.0)
CRANE = Articulation(
    "crane",
    (
        Link("base", meshes=box(0.3, 0.3, 0.1).meshes),
        Link("arm", "base", (0, 0, 0.1), Joint.revolute(Y, -1.0, 2.0), box(0.1, 0.1, 0.4).meshes, (Keypoint("elbow", (0, 0, 0.4)),)),
        Link("slide", "arm", (0, 0, 0.4), Joint.prismatic((0, 0, 2.0), 0.0, 0.3), (), (Keypoint("tip", (0, 0, 0.1)),)),
        Link("wrist", "slide", (0, 0, 0.1), Joint.ball([(-1, 1), (-2, 2), (0.2, 3)]), box(0.1, 0.05, 0.05).meshes),
    ),
)


def test_a_chain_worked_out_on_paper() -> None:
    poses = CRANE.poses({"arm": math.pi / 2, "slide": 0.25})
    assert np.allclose(poses["arm"][:3, 3], (0, 0, 0.1))
    assert np.allclose(poses["slide"][:3, 3], (0.65, 0, 0.1)), "a quarter about y takes z to x"
    assert np.allclose(transform(poses["slide"], np.array([0, 0, 0.1])), (0.75, 0, 0.1))


def test_a_ball_joint_is_intrinsic_and_rests_within_its_limits() -> None:
    poses = CRANE.poses({"wrist": (0.3, -0.5, 1.1)})
    expected = Rotation.from_euler("XYZ", (0.3, -0.5, 1.1)).as_matrix()
    assert np.allclose(poses["wrist"][:3, :3], expected)
    assert CRANE.checked({})["wrist"] == (0, 0, 0.2)
    for pose in poses.values():
        assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3))


def test_the_root_goes_where_it_is_told() -> None:
    world_from_root = np.eye(4)
    world_from_root[:3, :3] = Rotation.from_euler("z", 0.7).as_matrix()
    world_from_root[:3, 3] = 1, 2, 3
    for name, pose in CRANE.poses({"arm": 0.4}).items():
        assert np.allclose(CRANE.poses({"arm": 0.4}, world_from_root)[name], world_from_root @ pose)


def test_a_posed_thing_is_one_instance() -> None:
    category = Category("crane", ("elbow", "tip"))
    asset = CRANE.posed({"arm": 1.0, "slide": 0.2})
    assert np.allclose(asset.keypoints[0].xyz_object_m, (0.4 * math.sin(1), 0, 0.1 + 0.4 * math.cos(1)))
    world = World(camera((2.5, -2, 1.5), (0, 0, 0.3)), (Body(asset, np.eye(4), category),))
    instances = finish(annotate(world, FlatSpec().open().render(world)), [category]).instances
    assert len(instances) == 1
    assert instances[0].keypoints is not None
    for mesh, name in zip(asset.meshes, ("base", "arm", "wrist"), strict=True):
        source = next(link for link in CRANE.links if link.name == name)
        pose = CRANE.poses({"arm": 1.0, "slide": 0.2})[name]
        assert np.allclose(mesh.vertices_m, transform(pose, source.meshes[0].vertices_m.astype(float)), atol=1e-6)
        assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-6)


def test_drawn_poses_keep_the_limits_and_each_joint_has_its_own_stream() -> None:
    pose = {"arm": Normal(0, 3), "slide": Uniform(0, 0.3), "wrist": (Normal(0, 2), 0.5, Uniform(0.2, 3))}
    drawn = [CRANE.draw(pose, rng_for(0, i)) for i in range(50)]
    for values in drawn:
        CRANE.checked(values)
    assert {values["arm"][0] for values in drawn} >= {-1.0, 2.0}
    assert len({values["slide"] for values in drawn}) == 50
    other = CRANE.draw(pose | {"arm": 0.1}, rng_for(0, 3))
    assert other["wrist"] == drawn[3]["wrist"]
    assert other["arm"] == (0.1,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CRANE.poses({"arm": 2.5}), r"'crane': joint 'arm' must be in \[-1, 2\] rad, got 2.5"),
        (lambda: CRANE.poses({"slide": -0.1}), r"joint 'slide' must be in \[0, 0.3\] m, got -0.1"),
        (lambda: CRANE.poses({"wrist": (0, 2.1, 1)}), r"joint 'wrist' must be in \[-2, 2\] rad about axis 1, got 2.1"),
        (lambda: CRANE.poses({"wrist": 0.1}), "joint 'wrist' takes 3 values, got 1"),
        (lambda: CRANE.poses({"amr": 0.1}), "no joint 'amr'; did you mean 'arm'"),
        (lambda: CRANE.poses({"base": 0.1}), "no joint 'base'"),
        (lambda: CRANE.draw({"amr": 0.1}, rng_for(0, 0)), "no joint 'amr'"),
        (lambda: Joint.revolute(Y, 1.0, 0.5), "limits must be finite, low <= high, got 1.0 and 0.5"),
        (lambda: Joint.revolute((0, 0, 0), 0, 1), "axes must be finite and not zero"),
        (lambda: Joint("hinge"), "no kind of joint 'hinge'"),  # type: ignore[arg-type]
        (lambda: Joint("ball", (Y,), ((0, 1),)), "a ball joint has 3 axes and limits, got 1 axes and 1 limits"),
        (lambda: Articulation("a", ()), "articulation 'a' has no link"),
        (lambda: Articulation("a", (Link("x"), Link("x", "x"))), "link 'x' is there twice"),
        (lambda: Articulation("a", (Link("x"), Link("y", "z"), Link("z", "x"))), "link 'y': no link before it 'z'"),
        (lambda: Articulation("a", (Link("x"), Link("y"))), "link 'y': the first link, and no other, must have no parent"),
    ],
)
def test_a_wrong_spec_or_pose_is_one_message(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
