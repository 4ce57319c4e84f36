"""Our colour, instance, depth and normals against stock pyrender's colour, then its segmentation, of the same World, in one run.

Ten scanned objects on a table at 640x480, one distant light with shadow. What stock cannot do (light from a panorama) is timed apart.
CPU time is the measure: it is what a worker has to spend, and it does not depend on how many cores the driver may use.

python -m benchmarks render
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Row, timed
from synth.assets import load_asset
from synth.geometry import look_at
from synth.render.pyrender import PyrenderSpec
from synth.types import Asset, Body, Camera, Category, DirectionalLight, Environment, Material, Mesh, World

ASSETS = Path(__file__).parent.parent / "scenes" / "synth_scenes" / "assets"
ROUNDS, FRAMES = 5, 4
TARGET_ANTIALIASED, TARGET_PLAIN = 2.0, 3.0


def bench_world() -> World:
    """Ten scanned objects, about 120k triangles, on a wooden table."""
    import cv2

    wood = cv2.cvtColor(cv2.imread(str(ASSETS / "textures" / "light_wood.jpg")), cv2.COLOR_BGR2RGB)
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    top = Mesh(
        corners * 0.6,
        np.array([[0, 1, 2], [0, 2, 3]]),
        np.tile([0, 0, 1], (4, 1)),
        (corners[:, :2] + 1) / 2,
        material=Material(base_color_texture=wood),
    )
    bodies = [Body(Asset("table", (top,)), np.eye(4))]
    scans = [load_asset(path) for path in sorted((ASSETS / "ycb").glob("*.glb"))]
    category = Category("scan")
    for i in range(10):
        asset = scans[i % len(scans)]
        centre, size = asset.box_object_m
        pose = np.eye(4)
        turn_rad = 2.4 * i
        pose[:2, :2] = [[math.cos(turn_rad), -math.sin(turn_rad)], [math.sin(turn_rad), math.cos(turn_rad)]]
        pose[:3, 3] = [(i % 4 - 1.5) * 0.17, (i // 4 - 1) * 0.18, 0] - pose[:3, :3] @ [0, 0, centre[2] - size[2] / 2]
        bodies.append(Body(asset, pose, category))
    camera = Camera.from_fov(640, 480, math.radians(45), look_at((0.5, -0.55, 0.5), (0, 0, 0.03)))
    return World(camera, tuple(bodies), (DirectionalLight((-0.5, 0.3, -1)),), Environment(color=(0.3, 0.3, 0.3)))


def stock_pyrender(world: World) -> Callable[[], Any]:
    """Stock pyrender's frame of the same world: colour with shadows, then the segmentation image. Made once, drawn many times."""
    import pyrender

    scene = pyrender.Scene(bg_color=[0.3, 0.3, 0.3, 1.0], ambient_light=np.asarray(world.environment.color))
    k, gl_from_cv = world.camera.image_from_camera, np.diag([1.0, -1.0, -1.0, 1.0])
    lens = pyrender.IntrinsicsCamera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], znear=world.camera.near_m, zfar=10.0)
    scene.add(lens, pose=world.camera.world_from_camera @ gl_from_cv)
    colors = {}
    for index, body in enumerate(world.bodies, start=1):
        primitives = []
        for mesh, material in body.parts:
            texture = material.base_color_texture
            paint = pyrender.MetallicRoughnessMaterial(
                baseColorFactor=material.base_color,
                baseColorTexture=None if texture is None else pyrender.Texture(source=texture[..., :3], source_channels="RGB"),
                metallicFactor=material.metallic,
                roughnessFactor=material.roughness,
            )
            primitives.append(
                pyrender.Primitive(mesh.vertices_m, normals=mesh.normals, texcoord_0=mesh.uv, indices=mesh.faces, material=paint)
            )
        colors[scene.add(pyrender.Mesh(primitives), pose=body.world_from_object)] = index
    for light in world.lights:
        assert isinstance(light, DirectionalLight)
        pose = look_at((0, 0, 0), light.direction_world) @ gl_from_cv
        scene.add(pyrender.DirectionalLight(color=light.color, intensity=light.irradiance), pose=pose)
    renderer = pyrender.OffscreenRenderer(world.camera.width, world.camera.height)
    flags = pyrender.RenderFlags

    def draw() -> Any:
        color, depth = renderer.render(scene, flags=flags.SHADOWS_DIRECTIONAL)
        instance, _ = renderer.render(scene, flags=flags.SEG, seg_node_map=colors)
        return color, depth, instance

    return draw


def bench() -> tuple[str, str, list[Row]]:
    """Contestants take turns, so that a slower minute slows all. Medians; ratios of CPU time."""
    world = bench_world()
    panorama = np.random.default_rng(0).uniform(0, 1, (512, 1024, 3)).astype(np.float32)
    surrounded = replace(world, environment=Environment(hdri=panorama))
    smooth, plain = PyrenderSpec(antialias=True).open(), PyrenderSpec(antialias=False).open()
    stock = "stock pyrender: colour (4x multisampled, shadow), then SEG"
    contestants: dict[str, tuple[Callable[[], Any], float | None]] = {
        stock: (stock_pyrender(world), None),
        "ours with anti-aliasing: colour, instance, depth, normals": (lambda: smooth.render(world, normals=True), TARGET_ANTIALIASED),
        "ours without: colour, instance, depth, normals": (lambda: plain.render(world, normals=True), TARGET_PLAIN),
        "ours with anti-aliasing and light from a panorama": (lambda: smooth.render(surrounded, normals=True), None),
        "ours without, and light from a panorama": (lambda: plain.render(surrounded, normals=True), None),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for draw, _ in contestants.values():
        draw()  # uploads and compiles
    for _ in range(ROUNDS):
        for name, (draw, _) in contestants.items():
            wall_s, cpu_s = timed(lambda draw=draw: [draw() for _ in range(FRAMES)])
            times[name].append((cpu_s / FRAMES * 1e3, wall_s / FRAMES * 1e3))
    smooth.close()
    plain.close()
    rows = []
    for name, (_, target) in contestants.items():
        cpu_ms, wall_ms = (statistics.median(column) for column in zip(*times[name], strict=True))
        ratio = statistics.median(theirs[0] / ours[0] for theirs, ours in zip(times[stock], times[name], strict=True))
        rows.append(Row(name, f"{cpu_ms:.0f} ms CPU, {wall_ms:.0f} ms wall", None if name == stock else ratio, at_least=target))
    triangles = sum(len(mesh.faces) for body in world.bodies for mesh in body.asset.meshes)
    threads = os.environ.get("LP_NUM_THREADS", "as many as cores")
    note = f"One frame, 640x480, 10 scanned objects on a table, {triangles} triangles, one shadowed light; driver threads: {threads}."
    return "Rendering", f"{note} Ratio: stock's CPU time over ours.", rows
