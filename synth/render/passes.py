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
from synth.render.projection import clip_from_camera, grid_size, image_from_camera, in_clip_space, placed_boxes
from synth.render.shadows import ShadowView, fit_shadow
from synth.render.targets import ShadowMaps, Targets
from synth.render.uploads import MeshUpload, UploadCache
from synth.types import F32, F64, Camera, DirectionalLight, Frame, Material, SpotLight, World

MAX_LIGHTS = 32
MAX_SHADOWS = 8

SURFACE_TARGETS = {"instance": gl.GL_R32UI, "base_roughness": gl.GL_RGBA8, "emissive_metallic": gl.GL_RGBA16F, "normals": gl.GL_RGBA16}
PIXEL_TARGETS = {"rgb": gl.GL_RGBA8, "instance": gl.GL_R32UI, "depth_code": gl.GL_R32F, "normal": gl.GL_RGBA32F}


class WorldRenderer(Renderer):  # type: ignore[misc]  # pyrender is untyped
    """pyrender's renderer with passes of our own. The context must be current in every call."""

    def __init__(self, cache_bytes: int, shadow_map_px: int) -> None:
        super().__init__(1, 1)
        self._uploads = UploadCache(cache_bytes)
        self._shadow_maps = ShadowMaps(shadow_map_px)
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
        camera_from_object, corners = placed_boxes(world, camera)
        surfaces = self._surface_pass(world, camera, k, samples, camera_from_object, corners)
        shadows = self._shadow_pass(world, camera, k, surfaces, camera_from_object, corners)
        pixels = self._shading_pass(world, camera, k, samples, surfaces, shadows)
        return self._read(camera, pixels, normals)

    # --- surfaces -----------------------------------------------------------------------------------------------------

    def _surface_pass(self, world: World, camera: Camera, k: F64, samples: int, camera_from_object: F64, corners: F64) -> Targets:
        width, height = grid_size(camera, samples)
        targets = self._target("surfaces", width, height, SURFACE_TARGETS, depth=True)
        targets.bind()
        gl.glClearBufferuiv(gl.GL_COLOR, 0, np.zeros(4, dtype=np.uint32))
        gl.glClearBufferfv(gl.GL_DEPTH, 0, np.zeros(1, dtype=np.float32))
        gl.glEnable(gl.GL_DEPTH_TEST)
        gl.glDepthFunc(gl.GL_GREATER)
        gl.glFrontFace(gl.GL_CW)  # image rows run downwards
        clip = clip_from_camera(k, width, height, camera.near_m)
        shown = np.flatnonzero(in_clip_space(corners, clip))
        # Front to back, so that most of what is hidden fails the depth test before it costs anything.
        for index in shown[np.argsort(corners[shown, :, 2].mean(axis=1), kind="stable")].tolist():
            for mesh, material in world.bodies[index].parts:
                upload = self._uploads.mesh(mesh)
                program = self._material_program("surface", upload, material)
                program.set("clip_from_camera", clip)
                program.set("camera_from_object", camera_from_object[index])
                program.set_uint("instance", index + 1)
                upload.draw()
        gl.glDisable(gl.GL_CULL_FACE)
        gl.glDisable(gl.GL_DEPTH_TEST)
        return targets

    def _material_program(self, kind: str, upload: MeshUpload, material: Material) -> Program:
        """The program `kind` (surface or shadow) for this mesh and material, bound, the material's uniforms set. A face is drawn from
        the side it can be seen from, by the camera and by a light alike."""
        masked = material.alpha_mode == "mask"
        full = kind == "surface"
        textures = {"base_color_texture": material.base_color_texture} if full or masked else {}
        if full:
            textures["metallic_roughness_texture"] = material.metallic_roughness_texture
            textures["normal_texture"] = material.normal_texture
            textures["emissive_texture"] = material.emissive_texture
        shown = {name: texture for name, texture in textures.items() if texture is not None and upload.uv is not None}
        defines = [name.upper() for name in shown]
        defines += [f"UV {upload.uv}"] if shown else []
        defines += [f"COLOR {upload.color}"] if upload.color is not None and (full or masked) else []
        defines += ["MASK"] if masked else []
        defines += ["DOUBLE_SIDED"] if material.double_sided and full else []
        (gl.glDisable if material.double_sided else gl.glEnable)(gl.GL_CULL_FACE)
        program = self._program(f"{kind}.vert", f"{kind}.frag", *defines)
        if full or masked:
            program.set("base_color", np.asarray(material.base_color))
            program.set("alpha_cutoff", float(material.alpha_cutoff))
        if full:
            program.set("metallic_roughness", np.array([material.metallic, material.roughness]))
            program.set("emissive", np.asarray(material.emissive))
        for name, texture in shown.items():
            program.set_texture(name, self._uploads.texture(texture, srgb=name in ("base_color_texture", "emissive_texture")))
        return program

    # --- shadows ------------------------------------------------------------------------------------------------------

    def _shadow_pass(
        self, world: World, camera: Camera, k: F64, surfaces: Targets, camera_from_object: F64, corners: F64
    ) -> dict[int, ShadowView]:
        """Draw a map for each light that casts shadows; their views by the light's place in world.lights, in layer order."""
        lights = [(i, light) for i, light in enumerate(world.lights) if isinstance(light, DirectionalLight) and light.shadow]
        if len(lights) > MAX_SHADOWS:
            raise RenderError(f"renderer pyrender draws at most {MAX_SHADOWS} lights with shadow, the world has {len(lights)}")
        if not lights or not world.bodies:
            return {}
        depth_code = surfaces.read(-1, gl.GL_DEPTH_COMPONENT, gl.GL_FLOAT, np.empty((surfaces.height, surfaces.width), np.float32))
        camera_from_sample = np.linalg.inv(k)
        step = 2  # every second row and column tells where the scene ends well enough
        depth_code = depth_code[step // 2 :: step, step // 2 :: step]
        camera_from_sample = camera_from_sample @ np.array([[step, 0, 0.5 + step // 2], [0, step, 0.5 + step // 2], [0, 0, 1]])
        views: dict[int, ShadowView] = {}
        self._shadow_maps.begin(len(lights))
        for index, light in lights:
            view = fit_shadow(light, camera, depth_code, camera_from_sample, corners)
            if view is not None:
                self._shadow_maps.bind_layer(len(views))
                self._cast(world, view, camera_from_object, corners)
                views[index] = view
        self._shadow_maps.end()
        return views

    def _cast(self, world: World, view: ShadowView, camera_from_object: F64, corners: F64) -> None:
        clip_from_map = np.array([[2.0, 0, 0, -1], [0, 2, 0, -1], [0, 0, 1, 0], [0, 0, 0, 1]])
        clip = clip_from_map @ view.map_from_camera
        for index in np.flatnonzero(in_clip_space(corners, clip)).tolist():
            for mesh, material in world.bodies[index].parts:
                upload = self._uploads.mesh(mesh)
                program = self._material_program("shadow", upload, material)
                program.set("light_from_object", clip @ camera_from_object[index])
                upload.draw()

    # --- shading ------------------------------------------------------------------------------------------------------

    def _shading_pass(
        self, world: World, camera: Camera, k: F64, samples: int, surfaces: Targets, shadows: dict[int, ShadowView]
    ) -> Targets:
        environment = world.environment
        targets = self._target("pixels", camera.width, camera.height, PIXEL_TARGETS, depth=False)
        targets.bind()
        defines = [f"MAX_LIGHTS {MAX_LIGHTS}", f"MAX_SHADOWS {MAX_SHADOWS}", f"SAMPLES {samples}"]
        defines += ["PANORAMA"] if environment.hdri is not None else []
        defines += ["PHOTO"] if environment.photo is not None else []
        defines += ["SHADOWS"] if shadows else []
        defines += ["OTHER_LIGHTS"] if len(world.lights) > len(shadows) else []
        photo = None if environment.photo is None else self._uploads.photo(environment.photo, camera.width, camera.height)
        panorama = None if environment.hdri is None else self._uploads.panorama(environment.hdri)
        program = self._program("screen.vert", "shade.frag", *defines)
        for name, texture in surfaces.textures.items():
            program.set_texture(f"{name}_map", texture)
        program.set("ray_from_sample", np.linalg.inv(k))
        program.set("near_m", float(camera.near_m))
        program.set("exposure", float(world.exposure))
        program.set("lights", _light_rows(world, camera, list(shadows)))
        program.set("light_count", len(world.lights))
        program.set("shadow_count", len(shadows))
        if shadows:
            program.set("shadow_from_camera", np.stack([view.map_from_camera for view in shadows.values()]))
            program.set("shadow_extent", np.array([[*view.extent_m, view.softness] for view in shadows.values()]))
        self._shadow_maps.bind_textures(program)
        if photo is not None:
            program.set_texture("photo_map", photo)
        if panorama is not None:
            c, s = math.cos(environment.yaw_rad), math.sin(environment.yaw_rad)
            panorama_from_world = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
            program.set("panorama_from_camera", panorama_from_world @ camera.world_from_camera[:3, :3])
            program.set("irradiance_sh", np.pad(panorama.irradiance_sh, ((0, 0), (0, 1))))
            program.set_texture("mirror_map", panorama.mirror)
            program.set_texture("panorama_map", panorama.background)
            texels_a_pixel = panorama.width / (2 * math.pi) / camera.image_from_camera[0, 0]
            program.set("panorama_lod", max(0.0, math.log2(texels_a_pixel)))
            program.set("ambient", np.full(3, environment.intensity))
        else:
            program.set("ambient", np.asarray(environment.color) * environment.intensity)
        self._draw_screen()
        return targets

    def _read(self, camera: Camera, pixels: Targets, normals: bool) -> Frame:
        width, height = camera.width, camera.height
        rgba = pixels.read(0, gl.GL_RGBA, gl.GL_UNSIGNED_BYTE, np.empty((height, width, 4), np.uint8))
        instance = pixels.read(1, gl.GL_RED_INTEGER, gl.GL_UNSIGNED_INT, np.empty((height, width), np.uint32))
        depth_code = pixels.read(2, gl.GL_RED, gl.GL_FLOAT, np.empty((height, width), np.float32))
        with np.errstate(divide="ignore"):
            depth_m = np.float32(camera.near_m) / depth_code
        normal: F32 | None = None
        if normals:
            xyz0 = pixels.read(3, gl.GL_RGBA, gl.GL_FLOAT, np.empty((height, width, 4), np.float32))
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
        self._shadow_maps.delete()


def _light_rows(world: World, camera: Camera, shadowed: list[int]) -> F64:
    """(3 * MAX_LIGHTS, 4) as shade.frag reads them. shadowed: the lights with a shadow map, by their place in world.lights."""
    if len(world.lights) > MAX_LIGHTS:
        raise RenderError(f"renderer pyrender draws at most {MAX_LIGHTS} lights, the world has {len(world.lights)}")
    rows = np.zeros((MAX_LIGHTS, 3, 4))
    camera_from_world = camera.camera_from_world
    order = [*shadowed, *(i for i in range(len(world.lights)) if i not in shadowed)]
    for row, light in zip(rows, (world.lights[i] for i in order), strict=False):
        row[1, 3], row[2, 3] = -2, -1  # cosines below all others: no cone
        if isinstance(light, DirectionalLight):
            towards = -camera_from_world[:3, :3] @ light.direction_world
            row[0] = [*(np.asarray(light.color) * light.irradiance), 1]
            row[1, :3] = towards / np.linalg.norm(towards)
            continue
        row[0, :3] = np.asarray(light.color) * light.intensity
        row[1, :3] = (camera_from_world @ [*light.position_world_m, 1])[:3]
        if isinstance(light, SpotLight):
            axis = camera_from_world[:3, :3] @ light.direction_world
            row[1, 3] = math.cos(light.outer_rad)
            row[2] = [*(axis / np.linalg.norm(axis)), math.cos(light.inner_rad)]
    return rows.reshape(-1, 4)
