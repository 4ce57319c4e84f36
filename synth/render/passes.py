"""The passes that turn a World into a Frame: surfaces, shadows, shading.

One pass over the geometry writes, for every sample, whose it is, its depth, normals and material (a deferred renderer): labels and
colour come from the same samples and agree. Shading then costs once a sample however small the triangles are, which on a processor
(Mesa's llvmpipe) is most of the time saved.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import numpy as np
from OpenGL import GL as gl
from pyrender.renderer import Renderer

from synth.render.lights import MAX_LIGHTS, MAX_SHADOWS, ShadowView, fit_shadow, light_rows, shadow_lights
from synth.render.programs import Program
from synth.render.projection import clip_from_camera, grid_size, image_from_camera, in_clip_space, placed_boxes
from synth.render.targets import ShadowMaps, Targets
from synth.render.uploads import MeshUpload, UploadCache
from synth.types import F32, F64, Camera, Frame, Material, World

SURFACE_TARGETS = {"instance": gl.GL_R32UI, "base_roughness": gl.GL_RGBA8, "emissive_metallic": gl.GL_RGBA16F, "normals": gl.GL_RGBA16}
SRGB_TEXTURES = ("base_color_texture", "emissive_texture")
PIXEL_TARGETS = {"rgb": gl.GL_RGBA8, "instance": gl.GL_R32UI, "depth_code": gl.GL_R32F, "normal": gl.GL_RGBA32F}


class WorldRenderer(Renderer):  # type: ignore[misc]  # pyrender is untyped
    """pyrender's renderer with passes of our own. The context must be current in every call."""

    def __init__(self, cache_bytes: int, shadow_map_px: int) -> None:
        super().__init__(1, 1)
        self._uploads = UploadCache(cache_bytes)
        self._shadow_maps = ShadowMaps(shadow_map_px)
        self._programs: dict[tuple[str, ...], Program] = {}
        self._targets: OrderedDict[tuple[int, int, int], tuple[Targets, Targets]] = OrderedDict()
        self._target_bytes = cache_bytes
        self._deleted = False
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
        surfaces, pixels = self._frame_targets(camera, samples)
        self._surface_pass(world, camera, k, surfaces, camera_from_object, corners)
        shadows = self._shadow_pass(world, camera, k, surfaces, camera_from_object, corners)
        self._shading_pass(world, camera, k, samples, surfaces, shadows, pixels)
        return self._read(camera, pixels, normals)

    # --- surfaces -----------------------------------------------------------------------------------------------------

    def _surface_pass(self, world: World, camera: Camera, k: F64, surfaces: Targets, camera_from_object: F64, corners: F64) -> None:
        surfaces.bind()
        gl.glClearBufferuiv(gl.GL_COLOR, 0, np.zeros(4, dtype=np.uint32))
        gl.glClearBufferfv(gl.GL_DEPTH, 0, np.zeros(1, dtype=np.float32))
        gl.glEnable(gl.GL_DEPTH_TEST)
        gl.glDepthFunc(gl.GL_GREATER)
        gl.glFrontFace(gl.GL_CW)  # image rows run downwards
        clip = clip_from_camera(k, surfaces.width, surfaces.height, camera.near_m)
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
        # All on the device before the first is bound: an upload binds too.
        uploaded = {name: self._uploads.texture(texture, name in SRGB_TEXTURES) for name, texture in shown.items()}
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
        for name, texture_id in uploaded.items():
            program.set_texture(name, texture_id)
        return program

    # --- shadows ------------------------------------------------------------------------------------------------------

    def _shadow_pass(
        self, world: World, camera: Camera, k: F64, surfaces: Targets, camera_from_object: F64, corners: F64
    ) -> dict[int, ShadowView]:
        """Draw a map for each light that casts shadows; their views by the light's place in world.lights, in layer order."""
        lights = shadow_lights(world)
        if not lights or not world.bodies:
            return {}
        depth_code = surfaces.read(-1, gl.GL_DEPTH_COMPONENT, gl.GL_FLOAT, np.empty((surfaces.height, surfaces.width), np.float32))
        # Every second row and column tells well enough how far the scene reaches.
        step = 2 if min(depth_code.shape) > 1 else 1
        first = step // 2
        depth_code = depth_code[first::step, first::step]
        camera_from_sample = np.linalg.inv(k) @ np.array([[step, 0, first + 0.5], [0, step, first + 0.5], [0, 0, 1]])
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
        self, world: World, camera: Camera, k: F64, samples: int, surfaces: Targets, shadows: dict[int, ShadowView], pixels: Targets
    ) -> None:
        environment = world.environment
        pixels.bind()
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
        program.set("lights", light_rows(world, camera, list(shadows)))
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
        gl.glBindVertexArray(self._empty_vertex_array)
        gl.glDrawArrays(gl.GL_TRIANGLES, 0, 3)

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

    def _program(self, vertex: str, fragment: str, *defines: str) -> Program:
        key = (vertex, fragment, *defines)
        if key not in self._programs:
            self._programs[key] = Program(vertex, fragment, defines)
        self._programs[key].bind()
        return self._programs[key]

    def _frame_targets(self, camera: Camera, samples: int) -> tuple[Targets, Targets]:
        """Surfaces and pixels of a frame of this size. Other sizes are kept too, as long as all of them stay below the cache's limit."""
        key = (camera.width, camera.height, samples)
        if key not in self._targets:
            while self._targets and sum(t.nbytes for pair in self._targets.values() for t in pair) > self._target_bytes:
                for targets in self._targets.popitem(last=False)[1]:
                    targets.delete()
            surfaces = Targets(*grid_size(camera, samples), SURFACE_TARGETS, depth=True)
            self._targets[key] = surfaces, Targets(camera.width, camera.height, PIXEL_TARGETS, depth=False)
        self._targets.move_to_end(key)
        return self._targets[key]

    def delete(self) -> None:
        """Free everything on the device, once."""
        if self._deleted:
            return
        self._deleted = True
        self._uploads.clear()
        for program in self._programs.values():
            program.delete()
        for pair in self._targets.values():
            for targets in pair:
                targets.delete()
        self._shadow_maps.delete()
        gl.glDeleteVertexArrays(1, [self._empty_vertex_array])

    def __del__(self) -> None:
        # pyrender's frees here, in whatever thread collects garbage; names freed late may be another renderer's by then.
        pass
