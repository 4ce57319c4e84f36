"""The nouns of synth. Shapes, units and frames are part of every type.

Pixel law: image coordinates are continuous, (0, 0) is the outer corner of the top-left pixel, the centre of pixel (column c, row r)
is (c + 0.5, r + 0.5), boxes are half-open `x0 y0 x1 y1`.
Frame law: the camera looks along +z with x right and y down (OpenCV), the world is z up, lengths are metres, angles radians. A
transform is named `dst_from_src`.

Everything here is frozen and checks itself when made. Holders of arrays compare by identity, and their arrays are read-only views.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from synth.errors import ConfigError

F64: TypeAlias = npt.NDArray[np.float64]
F32: TypeAlias = npt.NDArray[np.float32]
U8: TypeAlias = npt.NDArray[np.uint8]
I32: TypeAlias = npt.NDArray[np.int32]
Bool: TypeAlias = npt.NDArray[np.bool_]
Index: TypeAlias = npt.NDArray[np.intp]
Rgb: TypeAlias = tuple[float, float, float]
Xyz: TypeAlias = tuple[float, float, float]
_Scalar = TypeVar("_Scalar", bound=np.generic)


def frozen_array(value: Any, dtype: type[_Scalar], shape: tuple[int | None, ...], what: str) -> npt.NDArray[_Scalar]:
    """`value` as a read-only array of `dtype` and `shape`, where None stands for any length. Raises ConfigError naming `what`."""
    array: npt.NDArray[_Scalar] = np.asarray(value, dtype=dtype)
    if array.ndim != len(shape) or any(want is not None and want != got for want, got in zip(shape, array.shape, strict=True)):
        wanted = ", ".join("n" if length is None else str(length) for length in shape)
        raise ConfigError(f"{what} must have shape ({wanted}), got {array.shape}")
    if array.dtype.kind == "f" and what.endswith(("_object", "_world", "_camera", "image")) and not np.isfinite(array).all():
        raise ConfigError(f"{what} must be finite, got {array.tolist()}")
    array = array.view()
    array.flags.writeable = False
    return array


def _replace(target: object, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(target, name, value)


def _triple(value: Sequence[float], what: str) -> Xyz:
    triple = tuple(float(v) for v in value)
    if len(triple) != 3 or not all(map(math.isfinite, triple)):
        raise ConfigError(f"{what} must be three finite numbers, got {value}")
    return triple


def _json_values(value: Mapping[str, Any] | None, what: str) -> dict[str, Any] | None:
    if value is None:
        return None
    try:
        json.dumps(dict(value), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{what} must be JSON values by name: {error}") from error
    for name in value:
        if not isinstance(name, str):
            raise ConfigError(f"{what} must be JSON values by name, got the name {name!r}")
    return dict(value)


def _rigid(value: Any, what: str) -> F64:
    matrix = frozen_array(value, np.float64, (4, 4), what)
    rotation = matrix[:3, :3]
    if not (np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6) and np.linalg.det(rotation) > 0):
        raise ConfigError(f"{what} must be rigid: its 3x3 part is no rotation (scaled or mirrored?): {matrix.tolist()}")
    if not np.array_equal(matrix[3], [0, 0, 0, 1]):
        raise ConfigError(f"{what} must end with the row 0 0 0 1, got {matrix[3].tolist()}")
    return matrix


# --- what is labelled -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Category:
    """A class of objects and its keypoint layout (COCO's terms).

    keypoints: names, in order. mirror: left/right pairs that a mirror image swaps. skeleton: edges to draw, by name.
    sigmas: COCO's per-keypoint constants for OKS, empty if not known.
    """

    name: str
    keypoints: tuple[str, ...] = ()
    mirror: tuple[tuple[str, str], ...] = ()
    skeleton: tuple[tuple[str, str], ...] = ()
    sigmas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _replace(
            self,
            keypoints=tuple(self.keypoints),
            mirror=tuple((str(a), str(b)) for a, b in self.mirror),
            skeleton=tuple((str(a), str(b)) for a, b in self.skeleton),
            sigmas=tuple(float(s) for s in self.sigmas),
        )
        where = f"category '{self.name}'"
        if not self.name:
            raise ConfigError("a category needs a name, got ''")
        if len(set(self.keypoints)) != len(self.keypoints):
            raise ConfigError(f"{where}: keypoint names must differ, got {list(self.keypoints)}")
        for what, pairs in (("mirror", self.mirror), ("skeleton", self.skeleton)):
            for name in (name for pair in pairs for name in pair):
                if name not in self.keypoints:
                    raise ConfigError(f"{where}: {what} names '{name}', which is none of its keypoints {list(self.keypoints)}")
        swapped = [name for pair in self.mirror for name in pair]
        if len(set(swapped)) != len(swapped):
            raise ConfigError(f"{where}: a keypoint stands in two mirror pairs: {list(self.mirror)}")
        if self.sigmas and len(self.sigmas) != len(self.keypoints):
            raise ConfigError(f"{where}: {len(self.sigmas)} sigmas for {len(self.keypoints)} keypoints")


@dataclass(frozen=True, slots=True)
class Keypoint:
    """A named point of an asset. `inside`: it lies in the body, so depth does not decide whether it is seen. below_m: it lies so far below
    the surface, as the joint of a limb does: what is nearer than that in front of it is its own limb, what is farther hides it."""

    name: str
    xyz_object_m: Xyz
    inside: bool = False
    below_m: float = 0.0

    def __post_init__(self) -> None:
        _replace(self, xyz_object_m=_triple(self.xyz_object_m, f"keypoint '{self.name}': xyz_object_m"))
        if not 0 <= self.below_m < math.inf:
            raise ConfigError(f"keypoint '{self.name}': below_m must be a length from 0, got {self.below_m}")


# --- 3D ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """A glTF 2.0 metallic-roughness material (section 3.9 of its specification).

    Factors are linear; base colour and emissive textures are sRGB u8, the others linear u8. metallic_roughness_texture holds
    roughness in G and metalness in B. alpha_mode: `opaque` ignores alpha; `mask` cuts where alpha < alpha_cutoff, in colour and in
    labels alike (a texture is sampled at its nearest texel for that); blended materials are cut at 0.5, since a label is yes or no.
    """

    base_color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    base_color_texture: U8 | None = None
    metallic: float = 0.0
    roughness: float = 0.8
    metallic_roughness_texture: U8 | None = None
    normal_texture: U8 | None = None
    emissive: Rgb = (0.0, 0.0, 0.0)
    emissive_texture: U8 | None = None
    alpha_mode: Literal["opaque", "mask"] = "opaque"
    alpha_cutoff: float = 0.5
    double_sided: bool = False

    def __post_init__(self) -> None:
        if len(self.base_color) != 4:
            raise ConfigError(f"Material: base_color must be r g b a, got {self.base_color}")
        for name in ("metallic", "roughness", "alpha_cutoff"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"Material: {name} must be in [0, 1], got {getattr(self, name)}")
        if self.alpha_mode not in ("opaque", "mask"):
            raise ConfigError(f"Material: alpha_mode must be 'opaque' or 'mask', got '{self.alpha_mode}'")
        for name in ("base_color_texture", "metallic_roughness_texture", "normal_texture", "emissive_texture"):
            texture = getattr(self, name)
            if texture is not None:
                texture = frozen_array(texture, np.uint8, (None, None, None), f"Material: {name}")
                if texture.shape[2] not in (1, 3, 4):
                    raise ConfigError(f"Material: {name} must have 1 (grey), 3 (rgb) or 4 (rgba) channels, got {texture.shape[2]}")
                _replace(self, **{name: texture})


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Triangles with one material. vertices (n, 3) m, object frame; faces (m, 3), counter-clockwise seen from outside.

    normals (n, 3) unit; uv (n, 2) with (0, 0) at the lower left corner of the texture and repetition outside [0, 1];
    colors (n, 4) linear rgba, multiplied into the base colour.
    """

    vertices_m: F32
    faces: I32
    normals: F32
    uv: F32 | None = None
    colors: F32 | None = None
    material: Material = field(default_factory=Material)

    def __post_init__(self) -> None:
        n = len(self.vertices_m)
        _replace(
            self,
            vertices_m=frozen_array(self.vertices_m, np.float32, (n, 3), "Mesh: vertices_m"),
            faces=frozen_array(self.faces, np.int32, (None, 3), "Mesh: faces"),
            normals=frozen_array(self.normals, np.float32, (n, 3), "Mesh: normals"),
            uv=None if self.uv is None else frozen_array(self.uv, np.float32, (n, 2), "Mesh: uv"),
            colors=None if self.colors is None else frozen_array(self.colors, np.float32, (n, 4), "Mesh: colors"),
        )
        if n == 0 or len(self.faces) == 0:
            raise ConfigError(f"Mesh: it needs vertices and faces, got {n} and {len(self.faces)}")
        if self.faces.min() < 0 or self.faces.max() >= n:
            raise ConfigError(f"Mesh: faces name vertices {self.faces.min()}..{self.faces.max()}, there are {n}")
        if not np.isfinite(self.vertices_m).all():
            raise ConfigError("Mesh: vertices_m must be finite")


@dataclass(frozen=True, eq=False)
class Asset:
    """A thing that can be placed: meshes and named keypoints in one object frame. Loaded once a process, shared, never changed."""

    name: str
    meshes: tuple[Mesh, ...]
    keypoints: tuple[Keypoint, ...] = ()
    licence: str = ""

    def __post_init__(self) -> None:
        _replace(self, meshes=tuple(self.meshes), keypoints=tuple(self.keypoints))
        if not self.meshes:
            raise ConfigError(f"asset '{self.name}' has no mesh")
        names = [keypoint.name for keypoint in self.keypoints]
        if len(set(names)) != len(names):
            raise ConfigError(f"asset '{self.name}': keypoint names must differ, got {names}")

    @cached_property
    def vertices_m(self) -> F64:
        """(n, 3) vertices of all meshes, object frame."""
        return np.concatenate([mesh.vertices_m for mesh in self.meshes]).astype(np.float64)

    @cached_property
    def box_object_m(self) -> tuple[F64, F64]:
        """Centre and size (3,) of the axis-aligned box in the object frame."""
        low, high = self.vertices_m.min(0), self.vertices_m.max(0)
        return (low + high) / 2, high - low

    @cached_property
    def diameter_m(self) -> float:
        """Largest distance between two vertices, as BOP defines an object's diameter (taken over their extremes in 343 directions,
        which is at most 2.5 % short)."""
        steps = np.linspace(-1, 1, 7)
        directions = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
        extreme = self.vertices_m[np.unique(np.argmax(self.vertices_m @ directions.T, axis=0))]
        return float(np.linalg.norm(extreme[:, None] - extreme[None], axis=-1).max())


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """An asset somewhere in the world. Without a category it is a prop: it hides others and has no label.

    materials, if given, replace the asset's, one per mesh. attributes: what the scene says of it beyond geometry, as JSON values by name
    (a body zone, a pose's name); its instance has them as they are, whatever stages do to the picture.
    """

    asset: Asset
    world_from_object: F64
    category: Category | None = None
    materials: tuple[Material, ...] | None = None
    attributes: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        where = f"body '{self.asset.name}'"
        _replace(
            self,
            world_from_object=_rigid(self.world_from_object, f"{where}: world_from_object"),
            attributes=_json_values(self.attributes, f"{where}: attributes"),
        )
        if self.materials is not None and len(self.materials) != len(self.asset.meshes):
            raise ConfigError(f"{where}: {len(self.materials)} materials for {len(self.asset.meshes)} meshes")
        missing = set(self.category.keypoints if self.category else ()) - {k.name for k in self.asset.keypoints}
        if missing and self.category:
            raise ConfigError(f"{where}: category '{self.category.name}' has keypoints that the asset lacks: {sorted(missing)}")

    @property
    def parts(self) -> tuple[tuple[Mesh, Material], ...]:
        """Each mesh with the material it shows."""
        materials = self.materials or tuple(mesh.material for mesh in self.asset.meshes)
        return tuple(zip(self.asset.meshes, materials, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole with OpenCV's distortion. image_from_camera is K (3, 3) in px under the pixel law above, so an OpenCV calibration's
    cx, cy enter as cx + 0.5, cy + 0.5. distortion: k1 k2 p1 p2 k3 (OpenCV, "Camera Calibration and 3D Reconstruction").
    What is nearer than near_m along z is not drawn."""

    image_from_camera: F64
    width: int
    height: int
    world_from_camera: F64
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    near_m: float = 0.01

    def __post_init__(self) -> None:
        k = frozen_array(self.image_from_camera, np.float64, (3, 3), "Camera: image_from_camera")
        distortion = tuple(float(d) for d in self.distortion)
        if len(distortion) != 5 or not all(map(math.isfinite, distortion)):
            raise ConfigError(f"Camera: distortion must be the five finite numbers k1 k2 p1 p2 k3, got {self.distortion}")
        _replace(
            self,
            image_from_camera=k,
            distortion=distortion,
            world_from_camera=_rigid(self.world_from_camera, "Camera: world_from_camera"),
        )
        if k[0, 0] <= 0 or k[1, 1] <= 0 or k[1, 0] != 0 or not np.array_equal(k[2], [0, 0, 1]):
            raise ConfigError(f"Camera: image_from_camera must be [[fx, s, cx], [0, fy, cy], [0, 0, 1]], got {k.tolist()}")
        for name in ("width", "height"):
            value = getattr(self, name)
            if isinstance(value, bool) or int(value) != value or not 1 <= value <= 16384:
                raise ConfigError(f"Camera: {name} must be a whole number of pixels in [1, 16384], got {value}")
            _replace(self, **{name: int(value)})
        if not self.near_m > 0:
            raise ConfigError(f"Camera: near_m must be above 0, got {self.near_m}")

    @classmethod
    def from_fov(
        cls,
        width: int,
        height: int,
        fov_rad: float,
        world_from_camera: Any,
        distortion: Sequence[float] = (0.0, 0.0, 0.0, 0.0, 0.0),
        near_m: float = 0.01,
    ) -> Camera:
        """Square pixels, principal point in the middle, `fov_rad` across the width (before distortion)."""
        if not 0 < fov_rad < math.pi:
            raise ConfigError(f"Camera: fov_rad must be in (0, pi), got {fov_rad}; degrees? use math.radians")
        f_px = width / 2 / math.tan(fov_rad / 2)
        k = np.array([[f_px, 0, width / 2], [0, f_px, height / 2], [0, 0, 1]])
        return cls(k, width, height, world_from_camera, tuple(distortion), near_m)  # type: ignore[arg-type]

    @property
    def camera_from_world(self) -> F64:
        """(4, 4) inverse of world_from_camera."""
        rotation = self.world_from_camera[:3, :3].T
        inverse = np.eye(4)
        inverse[:3, :3] = rotation
        inverse[:3, 3] = -rotation @ self.world_from_camera[:3, 3]
        return inverse


@dataclass(frozen=True, slots=True)
class DirectionalLight:
    """Light from far away. direction_world: the way it travels. irradiance: at normal incidence, linear; a white matt surface under
    irradiance pi shines with radiance 1, which exposure 1 shows as white. angle_rad: apparent diameter of the source, which makes
    shadows soft (the sun: 0.0093)."""

    direction_world: Xyz
    irradiance: float = 3.0
    color: Rgb = (1.0, 1.0, 1.0)
    angle_rad: float = 0.02
    shadow: bool = True

    def __post_init__(self) -> None:
        _replace(self, direction_world=_triple(self.direction_world, "DirectionalLight: direction_world"))
        if not any(self.direction_world):
            raise ConfigError("DirectionalLight: direction_world must not be zero")
        if self.irradiance < 0:
            raise ConfigError(f"DirectionalLight: irradiance must not be negative, got {self.irradiance}")


@dataclass(frozen=True, slots=True)
class PointLight:
    """Light in all directions. intensity: irradiance at one metre; it falls with the square of the distance. No shadow."""

    position_world_m: Xyz
    intensity: float = 3.0
    color: Rgb = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        _replace(self, position_world_m=_triple(self.position_world_m, "PointLight: position_world_m"))
        if self.intensity < 0:
            raise ConfigError(f"PointLight: intensity must not be negative, got {self.intensity}")


@dataclass(frozen=True, slots=True)
class SpotLight:
    """A point light within a cone: full up to inner_rad from its axis, nothing from outer_rad on (half angles). No shadow."""

    position_world_m: Xyz
    direction_world: Xyz
    intensity: float = 3.0
    color: Rgb = (1.0, 1.0, 1.0)
    inner_rad: float = 0.3
    outer_rad: float = 0.5

    def __post_init__(self) -> None:
        _replace(
            self,
            position_world_m=_triple(self.position_world_m, "SpotLight: position_world_m"),
            direction_world=_triple(self.direction_world, "SpotLight: direction_world"),
        )
        if not any(self.direction_world):
            raise ConfigError("SpotLight: direction_world must not be zero")
        if not 0 <= self.inner_rad < self.outer_rad <= math.pi / 2:
            raise ConfigError(f"SpotLight: needs 0 <= inner_rad < outer_rad <= pi/2, got {self.inner_rad} and {self.outer_rad}")
        if self.intensity < 0:
            raise ConfigError(f"SpotLight: intensity must not be negative, got {self.intensity}")


Light: TypeAlias = DirectionalLight | PointLight | SpotLight


@dataclass(frozen=True, slots=True, eq=False)
class Environment:
    """What surrounds the bodies and lights them from everywhere.

    hdri: (h, w, 3) linear radiance, equirectangular, straight up (+z) in the top row; column 0 looks along -x and columns run
    clockwise seen from above, before the whole is turned by yaw_rad about z (counter-clockwise seen from above).
    color: linear radiance from all sides where there is no hdri. intensity scales either.
    photo: (h, w, 3) sRGB, drawn behind everything, covering the frame (centred, cropped, not stretched); it gives no light.
    """

    hdri: F32 | None = None
    photo: U8 | None = None
    color: Rgb = (0.3, 0.3, 0.3)
    intensity: float = 1.0
    yaw_rad: float = 0.0

    def __post_init__(self) -> None:
        if self.hdri is not None:
            _replace(self, hdri=frozen_array(self.hdri, np.float32, (None, None, 3), "Environment: hdri"))
        if self.photo is not None:
            _replace(self, photo=frozen_array(self.photo, np.uint8, (None, None, 3), "Environment: photo"))
        if self.intensity < 0:
            raise ConfigError(f"Environment: intensity must not be negative, got {self.intensity}")


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """A 3D scene, ready to render. exposure scales linear radiance before it is encoded as sRGB. attributes: what the scene says of the
    picture as a whole, as JSON values by name (the view, a measure); they become the attributes of the sample's info."""

    camera: Camera
    bodies: tuple[Body, ...]
    lights: tuple[Light, ...] = ()
    environment: Environment = field(default_factory=Environment)
    exposure: float = 1.0
    attributes: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        _replace(self, bodies=tuple(self.bodies), lights=tuple(self.lights), attributes=_json_values(self.attributes, "World: attributes"))
        if not self.exposure > 0:
            raise ConfigError(f"World: exposure must be above 0, got {self.exposure}")


# --- 2D ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Cutout:
    """A picture of one object, cut out. Loaded once a process, shared, never changed.

    rgba (h, w, 4): sRGB with straight alpha; a pixel of alpha 128 and more is the object. keypoints_xy: px of this picture by name, in or
    outside of it; one that is not known is left out. hidden: those of them that the object itself hides.
    """

    name: str
    rgba: U8
    keypoints_xy: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    licence: str = ""

    def __post_init__(self) -> None:
        where = f"cut-out '{self.name}'"
        rgba = frozen_array(self.rgba, np.uint8, (None, None, 4), f"{where}: rgba")
        points = {str(name): (float(x), float(y)) for name, (x, y) in self.keypoints_xy.items()}
        _replace(self, rgba=rgba, keypoints_xy=points, hidden=frozenset(self.hidden))
        if not (rgba[..., 3] >= 128).any():
            raise ConfigError(f"{where}: nothing of it is opaque (alpha 128 or more), so there is nothing to paste or to label")
        for name, xy in points.items():
            if not all(map(math.isfinite, xy)):
                raise ConfigError(f"{where}: keypoint '{name}' must be two finite numbers in px, got {xy}")
        if not self.hidden <= set(points):
            raise ConfigError(f"{where}: hidden names keypoints that it lacks: {sorted(self.hidden - set(points))}")


BlendMode: TypeAlias = Literal["none", "feather", "gaussian", "poisson", "motion"]


@dataclass(frozen=True, slots=True)
class Blend:
    """How a layer meets what is behind it. It changes colours and no label.

    mode: `none`, as its alpha says; `feather`, fading out over width_px within its edge; `gaussian`, its edge blurred by a Gaussian of
    standard deviation width_px; `motion`, all of it moved by width_px during exposure, along angle_rad (clockwise on the screen);
    `poisson`, its gradients under the colours around it (Perez et al. 2003).
    match [0, 1]: how far its colours take on mean and contrast of what is around. shadow [0, 1]: how much of the light its shadow takes
    from what is behind; the shadow is moved by shadow_offset_px (x, y) and blurred by a standard deviation of shadow_blur_px.
    """

    mode: BlendMode = "none"
    width_px: float = 0.0
    angle_rad: float = 0.0
    match: float = 0.0
    shadow: float = 0.0
    shadow_blur_px: float = 0.0
    shadow_offset_px: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        _replace(self, shadow_offset_px=tuple(float(v) for v in self.shadow_offset_px))
        if self.mode not in get_args(BlendMode):
            raise ConfigError(f"Blend: mode must be one of {', '.join(get_args(BlendMode))}, got '{self.mode}'")
        for name, high in (("width_px", 256.0), ("match", 1.0), ("shadow", 1.0), ("shadow_blur_px", 256.0)):
            if not 0 <= getattr(self, name) <= high:
                raise ConfigError(f"Blend: {name} must be in [0, {high:g}], got {getattr(self, name)}")
        if len(self.shadow_offset_px) != 2 or not all(abs(v) <= 1024 for v in self.shadow_offset_px):
            raise ConfigError(f"Blend: shadow_offset_px must be x y, each within 1024 px, got {self.shadow_offset_px}")
        if not math.isfinite(self.angle_rad):
            raise ConfigError(f"Blend: angle_rad must be finite, got {self.angle_rad}")


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A cut-out somewhere in a collage. Without a category it is a distractor: it hides others and has no label.

    image_from_layer (3, 3): (u, v, 1) of the cut-out's px to (x, y, 1) of the image's, up to a factor w; what has w <= 0 is behind the
    viewer and not seen. Where it mirrors, the category's mirror pairs change places. A keypoint of the category that the cut-out does not
    know is not labelled.
    """

    cutout: Cutout
    image_from_layer: F64
    category: Category | None = None
    blend: Blend = field(default_factory=Blend)

    def __post_init__(self) -> None:
        where = f"layer '{self.cutout.name}'"
        _replace(self, image_from_layer=frozen_array(self.image_from_layer, np.float64, (3, 3), f"{where}: image_from_layer"))
        if not np.isfinite(self.image_from_layer).all() or np.linalg.det(self.image_from_layer) == 0:
            raise ConfigError(f"{where}: image_from_layer must be finite and invertible, got {self.image_from_layer.tolist()}")


@dataclass(frozen=True, slots=True, eq=False)
class Collage:
    """A 2D scene, ready to draw: layers from back to front over a background (height, width, 3) sRGB, which is the frame."""

    background: U8
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        background = frozen_array(self.background, np.uint8, (None, None, 3), "Collage: background")
        _replace(self, layers=tuple(self.layers), background=background)
        if not self.background.size:
            raise ConfigError(f"Collage: the background must have pixels, got shape {self.background.shape}")

    @property
    def width(self) -> int:
        """Of the frame, px."""
        return int(self.background.shape[1])

    @property
    def height(self) -> int:
        """Of the frame, px."""
        return int(self.background.shape[0])


# --- from a picture to a sample ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What a renderer returns. rgb (h, w, 3) sRGB; depth_m (h, w) along z at the pixel's centre, inf where nothing is;
    instance (h, w), i + 1 where body i shows, else 0; normals (h, w, 3) unit, camera frame, zero where nothing is, or None."""

    rgb: U8
    depth_m: F32
    instance: I32
    normals: F32 | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A boolean image that sits anywhere on the unbounded canvas around the frame: bits[0, 0] is pixel (x0, y0). beyond_px counts
    what a silhouette covers so far out that it is not kept (more than a frame's width or height away)."""

    bits: Bool
    x0: int
    y0: int
    beyond_px: float = 0.0

    def cut(self, width: int, height: int) -> Bool:
        """(height, width) the part within the frame."""
        frame = np.zeros((height, width), dtype=np.bool_)
        rows, columns = self.bits.shape
        top, left, bottom, right = max(self.y0, 0), max(self.x0, 0), min(self.y0 + rows, height), min(self.x0 + columns, width)
        if top < bottom and left < right:
            frame[top:bottom, left:right] = self.bits[top - self.y0 : bottom - self.y0, left - self.x0 : right - self.x0]
        return frame


@dataclass(frozen=True, slots=True, eq=False)
class DraftInstance:
    """One labelled object while stages move it. All in px of the draft's image.

    silhouette: all it would cover alone, out of frame too. outline_xy (n, 2): points whose box is the box of the whole silhouette.
    keypoint_xy (k, 2); keypoint_front (k,): in front of the camera; keypoint_surface (k,): not hidden by the object itself;
    keypoint_xyz_m (k, 3) camera frame. box3d: centre and size (3,) in the object frame, metres. absent: fields of Instance that nobody
    knows, such as the whole mask of an object cut from a photo; they end as None.
    """

    category: Category
    asset: str
    silhouette: Window
    outline_xy: F64
    keypoint_xy: F64
    keypoint_front: Bool
    keypoint_surface: Bool
    keypoint_xyz_m: F64 | None = None
    camera_from_object: F64 | None = None
    box3d_object_m: tuple[F64, F64] | None = None
    attributes: Mapping[str, Any] | None = None
    absent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """What stages move: picture, maps, silhouettes, points. No boxes yet. instance (h, w): i + 1 where instances[i] shows.
    camera is None once a warp has been applied that no K describes. attributes: of the picture as a whole."""

    image: U8
    instance: I32
    instances: tuple[DraftInstance, ...]
    depth_m: F32 | None = None
    normals: F32 | None = None
    camera: Camera | None = None
    attributes: Mapping[str, Any] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.image.shape[1], self.image.shape[0]


@dataclass(frozen=True, slots=True)
class Rle:
    """A mask of (height, width) as COCO's compressed run lengths (column-major, LEB-like ASCII)."""

    height: int
    width: int
    counts: bytes

    @classmethod
    def encode(cls, mask: Bool) -> Rle:
        """From a boolean (h, w) array."""
        from pycocotools import mask as coco

        encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        return cls(mask.shape[0], mask.shape[1], bytes(encoded["counts"]))

    def decode(self) -> Bool:
        """The boolean (h, w) array."""
        from pycocotools import mask as coco

        decoded: Bool = coco.decode({"size": [self.height, self.width], "counts": self.counts}).astype(bool)
        return decoded


@dataclass(frozen=True, slots=True, eq=False)
class Keypoints:
    """Keypoints of one object, in its category's order. xy (k, 2) px; v (k,) 0, 1 or 2 (docs/labels.md); xyz_m (k, 3) camera frame."""

    xy: F64
    v: I32
    xyz_m: F64 | None = None

    def __post_init__(self) -> None:
        k = len(self.v)
        _replace(
            self,
            xy=frozen_array(self.xy, np.float64, (k, 2), "Keypoints: xy"),
            v=frozen_array(self.v, np.int32, (k,), "Keypoints: v"),
            xyz_m=None if self.xyz_m is None else frozen_array(self.xyz_m, np.float64, (k, 3), "Keypoints: xyz_m"),
        )


@dataclass(frozen=True, slots=True)
class Obb:
    """A rotated box: centre and size in px; the side `width` lies at angle_rad, clockwise on the screen, in [0, pi)."""

    center_x: float
    center_y: float
    width: float
    height: float
    angle_rad: float

    @property
    def corners_xy(self) -> F64:
        """(4, 2) px, clockwise on the screen from the corner where both sides begin."""
        cos, sin = math.cos(self.angle_rad), math.sin(self.angle_rad)
        along, across = np.array([cos, sin]) * self.width / 2, np.array([-sin, cos]) * self.height / 2
        signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
        return np.array([self.center_x, self.center_y]) + signs[:, :1] * along + signs[:, 1:] * across


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """Every label of one object; None is absent, not zero. Definitions: docs/labels.md.

    box_xyxy and obb are None when the mask is empty. pose: camera_from_object (4, 4); box3d_object_m: centre and size (3,), metres.
    crowd: a region that holds many objects of the category, told apart by nobody (COCO's iscrowd). attributes: what else was said about
    it, as JSON values by name (`occluded`, `pose`, `zone`, ...).
    """

    category: str
    mask: Rle | None = None
    mask_full: Rle | None = None
    area_px: int | None = None
    box_xyxy: tuple[float, float, float, float] | None = None
    box_full_xyxy: tuple[float, float, float, float] | None = None
    obb: Obb | None = None
    visible_fraction: float | None = None
    truncated_fraction: float | None = None
    keypoints: Keypoints | None = None
    camera_from_object: F64 | None = None
    box3d_object_m: tuple[F64, F64] | None = None
    asset: str | None = None
    crowd: bool | None = None
    attributes: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class SampleInfo:
    """What is known of a sample as a whole; None is absent, not empty.

    dataset: the collection it belongs to. split: `train`, `val`, `test` or a name of one's own. group: what must not be divided between
    splits (a video, a scene, a patient). licence: of the picture, an SPDX name where there is one. annotator: who gave the labels.
    classes: of the picture as a whole. attributes: anything else, as JSON values by name.
    """

    dataset: str | None = None
    split: str | None = None
    group: str | None = None
    licence: str | None = None
    annotator: str | None = None
    classes: tuple[str, ...] | None = None
    attributes: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.classes, str):
            raise ConfigError(f"SampleInfo: classes must be a sequence of names, got '{self.classes}'")
        if self.classes is not None:
            _replace(self, classes=tuple(self.classes))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a synthetic sample comes from: enough to make it again. recipe: digest; renderer: its string with driver and version."""

    recipe: str
    scene: str
    seed: int
    index: int
    renderer: str
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One labelled picture. image (h, w, 3) sRGB; depth_m (h, w) float32, inf where nothing is; normals (h, w, 3), camera frame."""

    image: U8
    instances: tuple[Instance, ...]
    categories: tuple[Category, ...]
    depth_m: F32 | None = None
    normals: F32 | None = None
    camera: Camera | None = None
    origin: Origin | None = None
    key: str = ""
    info: SampleInfo = SampleInfo()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.image.shape[1], self.image.shape[0]
