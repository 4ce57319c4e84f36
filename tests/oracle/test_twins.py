"""pyrender against flat, its cheap twin, and against shapes that are known on paper; and the same sample again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from synth_scenes.tabletop import Tabletop

from synth.annotate import annotate, finish
from synth.digest import label_digest, pixel_digest
from synth.protocols import Renderer
from synth.recipe import Generator, Recipe
from synth.render.flat import FlatSpec
from synth.render.pyrender import PyrenderSpec
from synth.types import Body, Category, Keypoint, Sample, World
from tests.oracle.cases import CROWDED, HEIGHT, PLAIN, WIDTH, Cases, labelled_sample
from tests.oracle.caster import Truth, camera_from_object, centers, directions, image_points, moved
from tests.oracle.checks import Report, check_frame, check_labels, check_twins, check_visibility
from tests.shapes import BOX, LENS, NO_LENS, SPHERE, asset, at, box, camera, random_world, sphere

STAIR = Category("stair", ("below",))


@pytest.fixture(scope="module", params=[True, False], ids=["antialias", "plain"])
def renderer(request: pytest.FixtureRequest) -> Iterator[Renderer]:
    found = PyrenderSpec(antialias=request.param).open()
    yield found
    found.close()


def sample_of(renderer: Renderer, world: World) -> Sample:
    return finish(annotate(world, renderer.render(world)), (SPHERE, BOX))


# --- pyrender and flat ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", [PLAIN, CROWDED], ids=["plain", "crowded"])
def test_tabletop_of_both_renderers(scene: Tabletop) -> None:
    total = Report()
    with Cases(scene, seed=5) as cases:
        for index in range(3):
            world = cases.world(index)
            ours, flat = cases.renderer.render(world), FlatSpec().open().render(world)
            total += check_frame(Truth.of(world), ours, twin=flat)
            total += check_twins(world, labelled_sample(cases.scene, world, ours), labelled_sample(cases.scene, world, flat))
    print(total)
    total.assert_exact()
    assert total.instances >= 9


@pytest.mark.parametrize("distortion", [NO_LENS, LENS], ids=["pinhole", "lens"])
@pytest.mark.parametrize("seed", range(4))
def test_heaps_of_both_renderers_and_rays(renderer: Renderer, seed: int, distortion: tuple[float, ...]) -> None:
    """Boxes and spheres that pass through one another."""
    world = random_world(seed, distortion)
    truth, ours, flat = Truth.of(world), renderer.render(world), FlatSpec().open().render(world)
    labels = finish(annotate(world, ours), (SPHERE, BOX))
    twin = finish(annotate(world, flat), (SPHERE, BOX))
    report = check_frame(truth, ours) + check_frame(truth, flat) + check_frame(truth, ours, twin=flat)
    report += check_labels(truth, labels) + check_visibility(truth, labels) + check_twins(world, labels, twin)
    report.assert_exact()
    assert report.instances > 1


# --- pyrender and paper -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [(0, 0, 0), (-0.1, -0.1, 0.05)], ids=str)
def test_area_and_depth_of_a_sphere(renderer: Renderer, place: tuple[float, float, float]) -> None:
    seen, radius_m = camera(fov_rad=0.35), 0.1
    body = Body(sphere(radius_m), at(*place), SPHERE)
    instance, frame = sample_of(renderer, World(seen, (body,))).instances[0], renderer.render(World(seen, (body,)))
    center = camera_from_object(seen, body)[:3, 3]
    ray = directions(seen, centers(0, 0, seen.width, seen.height))
    # |t ray - center| = radius: a quadratic in t, which is z as the ray's z is 1.
    half_b, square = ray @ center, (ray**2).sum(axis=1)
    root = half_b**2 - square * (center @ center - radius_m**2)
    want = (root > 0).reshape(seen.height, seen.width)
    assert instance.area_px == pytest.approx(want.sum(), rel=0.002)  # a facetted sphere is a little smaller than a round one
    z_m = ((half_b - np.sqrt(np.maximum(root, 0))) / square).reshape(want.shape)
    facing = (root / half_b**2 > 0.25 * (radius_m / np.linalg.norm(center)) ** 2).reshape(want.shape)
    assert np.abs(frame.depth_m[facing] / z_m[facing] - 1).max() < 2e-4  # the facets' sagitta: 1.3e-4 of a radius, seen aslant


def test_corners_of_a_box(renderer: Renderer) -> None:
    seen, body = camera(), Body(box(0.3, 0.2, 0.2), at(0.05, -0.02, 0.1, 0.7), BOX)
    instance = sample_of(renderer, World(seen, (body,))).instances[0]
    corners = moved(camera_from_object(seen, body), [k.xyz_object_m for k in body.asset.keypoints])
    xy = image_points(seen, corners)
    assert instance.keypoints is not None
    assert np.allclose(instance.keypoints.xy, xy, rtol=0, atol=1e-9)
    hidden = int(np.argmax(corners[:, 2]))  # of a box seen from outside, the farthest corner is the hidden one
    assert instance.keypoints.v.tolist() == [1 if k == hidden else 2 for k in range(8)]
    assert instance.box_full_xyxy == pytest.approx((*xy.min(axis=0), *xy.max(axis=0)), abs=1e-4)  # meshes hold float32
    assert instance.box_xyxy == pytest.approx(instance.box_full_xyxy, abs=1)
    outline = np.delete(xy, [hidden, int(np.argmin(corners[:, 2]))], axis=0)  # neither the farthest nor the nearest corner is on it
    outline = outline[np.argsort(np.arctan2(*(outline - outline.mean(axis=0)).T))]
    x, y = outline.T
    area = abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())) / 2
    assert instance.area_px == pytest.approx(area, rel=0.005)


def test_a_plate_of_whole_pixels(renderer: Renderer) -> None:
    """A plate straight below whose picture is 120 x 60 pixels to the last bit of intent: its mask is that rectangle, its depth 1."""
    seen = camera((0, 0, 1), (0, 0, 0), fov_rad=2 * math.atan(0.5))  # 320 px to the metre
    plate = box(0.375 - 1e-4, 0.1875 - 1e-4, 1e-3)
    frame = renderer.render(World(seen, (Body(plate, at(0, 0, -5e-4), BOX),)))
    want = np.zeros((240, 320), dtype=bool)
    want[90:150, 100:220] = True
    assert np.array_equal(frame.instance > 0, want)
    assert np.abs(frame.depth_m[want] - 1).max() < 1e-6


def test_a_point_under_a_step(renderer: Renderer) -> None:
    """A stair of two treads seen from above, 10 and 5 cm over a point one pixel beside the riser: the lower tread hides it."""
    stair = trimesh.util.concatenate(
        [trimesh.creation.box(bounds=[(-0.2, -0.1, 0.09), (0, 0.1, 0.1)]), trimesh.creation.box(bounds=[(0, -0.1, 0.04), (0.2, 0.1, 0.05)])]
    )
    world = World(
        camera((0, 0, 1), (0, 0, 0), fov_rad=0.5), (Body(asset(stair, "stair", [Keypoint("below", (0.0022, 0, 0))]), np.eye(4), STAIR),)
    )
    truth = Truth.of(world)
    sample = finish(annotate(world, renderer.render(world)), (STAIR,))
    report = check_visibility(truth, sample)
    assert report.unseen == 1
    report.assert_exact()


# --- the same sample again --------------------------------------------------------------------------------------------


def test_the_same_sample_again() -> None:
    """Forwards, backwards, alone, from fresh generators, after other recipes on the same renderer: equal to the last bit."""
    recipe = Recipe(PLAIN, PyrenderSpec(), seed=7)

    def digests(order: range | tuple[int, ...], made_from: Recipe = recipe) -> dict[int, tuple[str, str]]:
        with Generator(made_from) as generator:
            samples = {i: generator[i] for i in order}
            assert all(sample.size == (WIDTH, HEIGHT) for sample in samples.values())
            return {i: (label_digest(sample), pixel_digest(sample)) for i, sample in samples.items()}

    forwards = digests(range(4))
    assert len(set(forwards.values())) == 4
    assert digests(range(3, -1, -1)) == forwards
    assert digests((2,)) == {2: forwards[2]}
    other = digests((2,), replace(recipe, seed=8))
    assert other[2][0] != forwards[2][0]
    assert other[2][1] != forwards[2][1]


def test_a_generator_labels_as_the_oracle_was_shown() -> None:
    """What test_tabletop.py compares is what a Generator makes."""
    with Cases(PLAIN, seed=1) as cases, Generator(Recipe(PLAIN, PyrenderSpec(), seed=1)) as generator:
        world = cases.world(3)
        sample = labelled_sample(PLAIN, world, cases.renderer.render(world))
        assert label_digest(generator[3]) == label_digest(sample)
        assert pixel_digest(generator[3]) == pixel_digest(sample)
