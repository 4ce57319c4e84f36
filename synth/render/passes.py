"""The passes that turn a World into a Frame: shadows, surfaces, shading, resolve.

One pass over the geometry writes, for every sample, whose it is, its depth, normals and material (a deferred renderer): labels and
colour come from the same samples and agree. Shading then costs once a sample however small the triangles are, which on a processor
(Mesa's llvmpipe) is most of the time saved.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from OpenGL import GL as gl
from pyrender.renderer import Renderer

from synth.errors import RenderError
from synth.render.programs import Program
from synth.render.projection import clip_from_camera, grid_size, image_from_camera
from synth.render.targets import Targets
from synth.render.uploads import MeshUpload, UploadCache
from synth.types import F32, F64, Camera, DirectionalLight, Frame, Material, SpotLight, World

MAX_LIGHTS = 32

SURFACE_TARGETS = {"instance": gl.GL_R32UI, "base_roughness": gl.GL_RGBA8, "emissive_metallic": gl.GL_RGBA16F, "normals": gl.GL_RGBA16}
PIXEL_TARGETS = {"rgb": gl.GL_RGBA8, "instance": gl.GL_R32UI, "depth_code": gl.GL_R32F, "normal": gl.GL_RGBA32F}


class WorldRenderer(Renderer):  # type: ignore[misc]  # pyrender is untyped
    """pyrender's renderer with passes of our own. The context must be current in every call."""

    def __init__(self, cache_bytes: int, shadow_map_px: int) -> None:
        super().__init__(1, 1)
        self._uploads = UploadCache(cache_bytes)
        self._shadow_map_px = shadow_map_px
        self._programs: dict[tuple[str, ...], Program] = {}
        self._targets: dict[tuple[Any, ...], Targets] = {}
        self._empty_vertex_array = int(gl.glGenVertexArrays(1))

    def render(self, world: World, camera: Camera, samples: int, normals: bool) -> Frame:
        """`world` through the pinhole `camera`; samples: 1, or 2 a pixel and axis."""
        self._uploads.begin_frame()
        gl.glClipControl(gl.GL_LOWER_LEFT, gl.GL_ZERO_TO_ONE)
        gl.glPixelStorei(gl.GL_PACK_ALIGNMENT, 1)
        gl.glPixelStorei(gl.GL_UNPACK_ALIGNMENT, 1)
        gl.glDisable(gl.GL_BLEND)
        k = image_from_camera(camera, samples)
        surfaces = self._surface_pass(world, camera, k, samples)
        radiance = self._shading_pass(world, camera, k, surfaces)
        return self._resolve_pass(world, camera, samples, surfaces, radiance, normals)

    # --- surfaces -----------------------------------------------------------------------------------------------------

    def _surface_pass(self, world: World, camera: Camera, k: F64, samples: int) -> Targets:
        width, height = grid_size(camera, samples)
        targets = self._target("surfaces", width, height, SURFACE_TARGETS, depth=True)
        targets.bind()
        gl.glClearBufferuiv(gl.GL_COLOR, 0, np.zeros(4, dtype=np.uint32))
        gl.glClearBufferfv(gl.GL_DEPTH, 0, np.zeros(1, dtype=np.float32))
        gl.glEnable(gl.GL_DEPTH_TEST)
        gl.glDepthFunc(gl.GL_GREATER)
        gl.glFrontFace(gl.GL_CW)  # image rows run downwards
        clip = clip_from_camera(k, width, height, camera.near_m)
        for index, camera_from_object in self._front_to_back(world, camera):
            for mesh, material in world.bodies[index].parts:
                upload = self._uploads.mesh(mesh)
                program = self._material_program("surface", upload, material)
                program.set("clip_from_camera", clip)
                program.set("camera_from_object", camera_from_object)
                program.set_uint("instance", index + 1)
                upload.draw()
        gl.glDisable(gl.GL_CULL_FACE)
        gl.glDisable(gl.GL_DEPTH_TEST)
        return targets

    def _front_to_back(self, world: World, camera: Camera) -> list[tuple[int, F64]]:
        """Bodies by the distance of their boxes' centres, so that what is hidden is mostly not drawn at all."""
        poses = [(i, camera.camera_from_world @ body.world_from_object) for i, body in enumerate(world.bodies)]
        return sorted(poses, key=lambda pose: float((pose[1] @ [*world.bodies[pose[0]].asset.box_object_m[0], 1])[2]))

    def _material_program(self, kind: str, upload: MeshUpload, material: Material) -> Program:
        """The program `kind` for this mesh and material, bound, the material's uniforms set."""
        textures = {
            "base_color_texture": material.base_color_texture,
            "metallic_roughness_texture": material.metallic_roughness_texture,
            "normal_texture": material.normal_texture,
            "emissive_texture": material.emissive_texture,
        }
        shown = {name: texture for name, texture in textures.items() if texture is not None and upload.uv is not None}
        defines = [f"UV {upload.uv}"] if shown else []
        if upload.color is not None:
            defines.append(f"COLOR {upload.color}")
        defines += [name.upper() for name in shown]
        if material.alpha_mode == "mask":
            defines.append("MASK")
        if material.double_sided:
            defines.append("DOUBLE_SIDED")
            gl.glDisable(gl.GL_CULL_FACE)
        else:
            gl.glEnable(gl.GL_CULL_FACE)
        program = self._program(f"{kind}.vert", f"{kind}.frag", *defines)
        program.set("base_color", np.asarray(material.base_color))
        program.set("alpha_cutoff", float(material.alpha_cutoff))
        program.set("metallic_roughness", np.array([material.metallic, material.roughness]))
        program.set("emissive", np.asarray(material.emissive))
        for name, texture in shown.items():
            program.set_texture(name, self._uploads.texture(texture, srgb=name in ("base_color_texture", "emissive_texture")))
        return program

    # --- shading ------------------------------------------------------------------------------------------------------

    def _shading_pass(self, world: World, camera: Camera, k: F64, surfaces: Targets) -> Targets:
        targets = self._target("radiance", surfaces.width, surfaces.height, {"radiance": gl.GL_RGBA16}, depth=False)
        targets.bind()
        program = self._program("screen.vert", "shade.frag", f"MAX_LIGHTS {MAX_LIGHTS}")
        for name in ("depth", "base_roughness", "emissive_metallic", "normals"):
            program.set_texture(f"{name}_map", surfaces.textures[name])
        program.set("ray_from_pixel", np.linalg.inv(k))
        program.set("near_m", float(camera.near_m))
        program.set("exposure", float(world.exposure))
        program.set("lights", _light_rows(world, camera))
        program.set("light_count", len(world.lights))
        irradiance = np.zeros((9, 4))
        irradiance[0, :3] = np.asarray(world.environment.color) * world.environment.intensity
        program.set("irradiance_sh", irradiance)
        self._draw_screen()
        return targets

    def _resolve_pass(self, world: World, camera: Camera, samples: int, surfaces: Targets, radiance: Targets, normals: bool) -> Frame:
        width, height = camera.width, camera.height
        targets = self._target("pixels", width, height, PIXEL_TARGETS, depth=False)
        targets.bind()
        program = self._program("screen.vert", "resolve.frag", f"SAMPLES {samples}")
        program.set_texture("radiance_map", radiance.textures["radiance"])
        for name in ("instance", "depth", "normals"):
            program.set_texture(f"{name}_map", surfaces.textures[name])
        background = np.asarray(world.environment.color) * world.environment.intensity * world.exposure
        program.set("background", background)
        self._draw_screen()
        rgba = targets.read(0, gl.GL_RGBA, gl.GL_UNSIGNED_BYTE, np.empty((height, width, 4), np.uint8))
        instance = targets.read(1, gl.GL_RED_INTEGER, gl.GL_UNSIGNED_INT, np.empty((height, width), np.uint32))
        depth_code = targets.read(2, gl.GL_RED, gl.GL_FLOAT, np.empty((height, width), np.float32))
        with np.errstate(divide="ignore"):
            depth_m = np.float32(camera.near_m) / depth_code
        normal: F32 | None = None
        if normals:
            xyz0 = targets.read(3, gl.GL_RGBA, gl.GL_FLOAT, np.empty((height, width, 4), np.float32))
            normal = np.ascontiguousarray(xyz0[..., :3])
        return Frame(np.ascontiguousarray(rgba[..., :3]), depth_m, instance.view(np.int32), normal)

    # --- what is held -------------------------------------------------------------------------------------------------

    def _draw_screen(self) -> None:
        gl.glBindVertexArray(self._empty_vertex_array)
        gl.glDrawArrays(gl.GL_TRIANGLES, 0, 3)

    def _program(self, vertex: str, fragment: str, *defines: str) -> Program:
        key = (vertex, fragment, *defines)
        if key not in self._programs:
            self._programs[key] = Program(vertex, fragment, defines)
        self._programs[key].bind()
        return self._programs[key]

    def _target(self, name: str, width: int, height: int, colors: dict[str, Any], depth: bool) -> Targets:
        """A set of targets, made anew when the size changes."""
        targets = self._targets.get((name,))
        if targets is None or (targets.width, targets.height) != (width, height):
            if targets is not None:
                targets.delete()
            targets = self._targets[name,] = Targets(width, height, colors, depth)
        return targets

    def delete(self) -> None:
        """Free everything on the device."""
        self._uploads.clear()
        for program in self._programs.values():
            program.delete()
        for targets in self._targets.values():
            targets.delete()
        self._programs.clear()
        self._targets.clear()


def _light_rows(world: World, camera: Camera) -> F64:
    """(3 * MAX_LIGHTS, 4) as shade.frag reads them."""
    if len(world.lights) > MAX_LIGHTS:
        raise RenderError(f"renderer pyrender draws at most {MAX_LIGHTS} lights, the world has {len(world.lights)}")
    rows = np.zeros((MAX_LIGHTS, 3, 4))
    camera_from_world = camera.camera_from_world
    for row, light in zip(rows, world.lights, strict=False):
        strength = light.irradiance if isinstance(light, DirectionalLight) else light.intensity
        row[0, :3] = np.asarray(light.color) * strength
        if isinstance(light, DirectionalLight):
            towards = -camera_from_world[:3, :3] @ light.direction_world
            row[0, 3] = 1
            row[1] = [*(towards / np.linalg.norm(towards)), -1]
            continue
        row[1, :3] = (camera_from_world @ [*light.position_world_m, 1])[:3]
        row[1, 3], row[2, 3] = -2, -1  # cosines below all others: full in every direction
        if isinstance(light, SpotLight):
            axis = camera_from_world[:3, :3] @ light.direction_world
            row[2] = [*(axis / np.linalg.norm(axis)), math.cos(light.inner_rad)]
            row[1, 3] = math.cos(light.outer_rad)
    return rows.reshape(-1, 4)
