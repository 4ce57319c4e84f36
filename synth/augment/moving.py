"""A draft on its way through a list of maps and paints.

The picture is resampled at every step, since a later one may paint on it. Labels wait: they are resampled once, at the end, through the
product of all maps, so that a list of ten maps leaves them as sharp as one does. What a frame on the way cut off and what a hole on the
way hid is remembered and carried through the maps that follow it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from synth.annotate import mask_corners
from synth.augment.cameras import look_through, turn_depth, turn_instance, turn_normals
from synth.augment.warp import CONSTANT, LINEAR, Field, Homography, Warp, grid, pick_nearest, relocate, sample_image, sample_nearest
from synth.geometry import convex_hull
from synth.types import F32, F64, I32, U8, Bool, Category, Draft, DraftInstance, Window

_Array = TypeVar("_Array", bound=npt.NDArray[Any])


class Moving:
    """A draft that is being changed. `image` is up to date at every step; `settle` brings the labels after."""

    def __init__(self, draft: Draft) -> None:
        self.restart(draft)

    def restart(self, draft: Draft) -> None:
        """Go on from a draft that somebody else has changed."""
        self.image = draft.image
        self._base = draft
        self._path: list[Warp] = []
        self._hidden: dict[int, Bool] = {}  # by the number of maps before it: pixels that something has covered since

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture now, in px."""
        return self.image.shape[1], self.image.shape[0]

    def move(self, warp: Warp, interpolation: int = LINEAR, border: int = CONSTANT, fill: tuple[float, ...] = (0, 0, 0)) -> None:
        """Take picture and labels through a map."""
        self.image = sample_image(self.image, warp, interpolation, border, fill)
        self._path.append(warp)

    def paint(self, image: U8, hidden: Bool | None = None) -> None:
        """Change the pixels in place. hidden (h, w): what is covered now, so that nothing of the objects shows there."""
        self.image = image
        if hidden is not None and hidden.any():
            before = self._hidden.get(len(self._path))
            self._hidden[len(self._path)] = hidden if before is None else before | hidden

    def settle(self) -> Draft:
        """The draft with picture and labels as they are now."""
        if self._path or self._hidden:
            self._base = _carried(self._base, self._path, self._hidden)
            self._path, self._hidden = [], {}
        if self._base.image is not self.image:
            self._base = replace(self._base, image=self.image)
        return self._base


def _carried(draft: Draft, path: Sequence[Warp], hidden: dict[int, Bool]) -> Draft:
    """The labels of a draft through a path of maps."""
    route = _Route(path)
    instance = route.labels(draft.instance, hidden)
    if not path:
        return replace(draft, instance=instance)
    depth = None if draft.depth_m is None else route.pixels(draft.depth_m, np.inf)
    normals = None if draft.normals is None else route.pixels(draft.normals, 0.0)
    items, camera = draft.instances, draft.camera
    items = tuple(_carry_plane(item, route) for item in items)
    if not all(isinstance(warp, Homography) for warp in path):
        camera = None  # no K describes the picture; what was measured stays in the frame of the camera that took it
        if sum(warp.mirrors for warp in path) % 2:
            items, normals = tuple(replace(item, keypoint_xyz_m=None, camera_from_object=None) for item in items), None
    elif route.homography is not None:
        view = look_through(camera, route.homography)
        items = tuple(turn_instance(item, view) for item in items)
        depth = None if depth is None else turn_depth(depth, view)
        normals, camera = turn_normals(normals, view), view.camera
    if route.mirrors:
        items = tuple(_mirrored(item) for item in items)
    return replace(draft, instance=instance, instances=items, depth_m=depth, normals=normals, camera=camera)


class _Route:
    """A path of maps as a whole: from the frame before the first to the frame after the last."""

    def __init__(self, path: Sequence[Warp]) -> None:
        self.path = tuple(path)
        self.mirrors = bool(sum(warp.mirrors for warp in path) % 2)
        self.homography = _product(self.path)
        self._traced: list[F32] | None = None

    @property
    def size(self) -> tuple[int, int]:
        return self.path[-1].width, self.path[-1].height

    def trace(self) -> list[F32]:
        """Where each pixel of the last frame lies in every frame on the way, the first one first."""
        if self._traced is None:
            self._traced = _trace(self.path, grid(0, 0, *self.size))
        return self._traced

    def pixels(self, array: _Array, outside: float) -> _Array:
        """A map of the first frame (h, w, ...), as the last one shows it."""
        if self.homography is not None:
            moved = sample_nearest(array, self.homography, outside=outside)
        else:
            moved = pick_nearest(array, self.trace()[0], outside)
        if self._cut_off is not None:
            moved[self._cut_off] = outside
        return moved

    def labels(self, instance: I32, hidden: dict[int, Bool]) -> I32:
        """The instance map of the first frame, as the last one shows it, without what is hidden on the way."""
        hidden = dict(hidden)
        if 0 in hidden:
            instance = np.where(hidden.pop(0), np.int32(0), instance)
        if not self.path:
            return instance
        moved = self.pixels(instance, 0)
        for done, mask in hidden.items():
            rest = _Route(self.path[done:])
            bits = mask.view(np.uint8)
            if not rest.path:
                covered = bits
            elif self._traced is not None:
                covered = pick_nearest(bits, self._traced[done])
            elif rest.homography is not None:
                covered = sample_nearest(bits, rest.homography)
            else:
                covered = pick_nearest(bits, rest.trace()[0])
            moved[covered.view(np.bool_)] = 0
        return moved

    @cached_property
    def _cut_off(self) -> Bool | None:
        """(h, w) what of the last frame lies outside a frame on the way, None if nothing does."""
        lost: Bool | None = None
        for done, warp in enumerate(self.path[:-1], start=1):
            width, height = warp.width, warp.height
            rest = _product(self.path[done:]) if self._traced is None else None
            if rest is not None:
                x, y = np.meshgrid((0.0, rest.width), (0.0, rest.height))
                corners = rest.src_from_dst @ np.stack([x.ravel(), y.ravel(), np.ones(4)])
                inside = (corners[2] > 0) & (corners[:2] >= -1e-9).all(axis=0)
                inside &= (corners[:2] <= np.array([[width], [height]]) * corners[2] + 1e-9).all(axis=0)
                if inside.all():
                    continue
                shown = sample_nearest(np.ones((height, width), dtype=np.uint8), rest).view(np.bool_)
            else:
                xy = self.trace()[done]
                shown = (xy[..., 0] >= 0) & (xy[..., 1] >= 0) & (xy[..., 0] < width) & (xy[..., 1] < height)
            lost = ~shown if lost is None else lost | ~shown
        return lost

    def points(self, xy: F64) -> tuple[F64, Bool]:
        """Points (n, 2) of the first frame in the last one, and (n,) which of them have a place there."""
        there = np.ones(len(xy), dtype=np.bool_)
        for warp in self.path if self.homography is None else (self.homography,):
            xy, found = warp.points(xy)
            there &= found
        return xy, there


def _product(path: Sequence[Warp]) -> Homography | None:
    """All maps in one, if they are homographies."""
    matrix = np.eye(3)
    for warp in path:
        if not isinstance(warp, Homography):
            return None
        matrix = warp.dst_from_src @ matrix
    if len(path) == 1 and isinstance(path[0], Homography):
        return path[0]
    return Homography(matrix, path[-1].width, path[-1].height) if path else None


def _trace(path: Sequence[Warp], xy: F32) -> list[F32]:
    traced = []
    for warp in reversed(path):
        xy = warp.sources(xy)
        traced.append(xy)
    return traced[::-1]


# --- one instance -----------------------------------------------------------------------------------------------------


def _carry_plane(item: DraftInstance, route: _Route) -> DraftInstance:
    """Silhouette, outline and keypoints through the maps."""
    silhouette = carry_window(item.silhouette, route)
    xy, there = route.points(item.keypoint_xy)
    if route.homography is not None:
        outline, _ = route.homography.points(_before_horizon(item.outline_xy, route.homography))
    else:
        # What lies on the hull may bend inwards and what lies within may bend outwards: the silhouette itself says where it is now.
        outline = route.points(item.outline_xy)[0]
        bits = silhouette.bits
        if bits.any():
            corners = mask_corners(bits) + (silhouette.x0, silhouette.y0)
            middle = corners.mean(axis=0)
            outline = np.concatenate([outline, corners + np.clip(middle - corners, -0.5, 0.5)])
        outline = convex_hull(outline)
    return replace(item, silhouette=silhouette, outline_xy=outline, keypoint_xy=xy, keypoint_front=item.keypoint_front & there)


def _mirrored(item: DraftInstance) -> DraftInstance:
    """Left and right exchanged, as in a mirror."""
    order = mirror_order(item.category, len(item.keypoint_xy))
    if order is None:
        return item
    return replace(
        item,
        keypoint_xy=item.keypoint_xy[order],
        keypoint_front=item.keypoint_front[order],
        keypoint_surface=item.keypoint_surface[order],
        keypoint_xyz_m=None if item.keypoint_xyz_m is None else item.keypoint_xyz_m[order],
    )


def mirror_order(category: Category, count: int) -> list[int] | None:
    """Which of `count` points each takes the place of, None where a mirror changes no name."""
    if not category.mirror:
        return None
    order = list(range(count))
    for left, right in category.mirror:
        i, j = category.keypoints.index(left), category.keypoints.index(right)
        order[i], order[j] = j, i
    return order


def carry_window(window: Window, route: _Route) -> Window:
    """A silhouette through the maps, frames on the way ignored: it is all the object covers, in the frame or out of it."""
    whole, bits = route.homography, window.bits
    if not bits.size:
        return window
    rows, columns = bits.shape
    if whole is not None and whole.lattice:
        turned, x0, y0 = relocate(bits, Homography(_after_shift(whole, window), 1, 1))
        return Window(np.ascontiguousarray(turned), x0, y0, window.beyond_px)
    width, height = route.size
    low, high = _reach(route, np.array([[0.0, 0.0], [columns, rows]]) + (window.x0, window.y0))
    limit = np.array([width, height])
    held_low, held_high = np.clip(np.floor(low), -limit, 2 * limit), np.clip(np.ceil(high), -limit, 2 * limit)
    (x0, y0), (x1, y1) = held_low.astype(int).tolist(), held_high.astype(int).tolist()
    if x1 <= x0 or y1 <= y0:
        moved = np.zeros((0, 0), dtype=np.bool_)
    elif whole is not None:
        inner = Homography(_after_shift(whole, window), x1 - x0, y1 - y0)
        moved = sample_nearest(bits.view(np.uint8), inner, (x0, y0)).view(np.bool_)
    else:
        xy = _trace(route.path, grid(x0, y0, x1 - x0, y1 - y0))[0]
        moved = pick_nearest(bits.view(np.uint8), xy - np.array([window.x0, window.y0], dtype=np.float32)).view(np.bool_)
    beyond = 0.0
    cut = bool((low < held_low).any() or (high > held_high).any())
    if window.beyond_px or cut:
        beyond = _beyond(window, route, cut, (x0, y0, x1, y1))
    return Window(moved, x0, y0, beyond)


def _after_shift(whole: Homography, window: Window) -> F64:
    """The matrix for a window's own pixels."""
    moved = whole.dst_from_src.copy()
    moved[:, 2] = whole.dst_from_src @ (window.x0, window.y0, 1)
    return moved


def _reach(route: _Route, box: F64) -> tuple[F64, F64]:
    """Low and high corner (2,) of where the maps take what lies in a box [low, high] (2, 2); some more than needed where they bend."""
    for warp in route.path if route.homography is None else (route.homography,):
        if isinstance(warp, Field):
            least, most = warp.reach
            box = np.array([box[0] - most - 1, box[1] - least + 1])
        else:
            (x0, y0), (x1, y1) = box
            corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
            moved, _ = warp.points(_before_horizon(corners, warp))
            if not len(moved):
                return np.zeros(2), np.zeros(2)
            box = np.array([moved.min(axis=0), moved.max(axis=0)])
    return box[0], box[1]


def _beyond(window: Window, route: _Route, cut: bool, kept: tuple[int, int, int, int]) -> float:
    """Area in px of what a silhouette covers outside the kept window (x0, y0, x1, y1), counted by what each of its pixels becomes."""
    row, column = np.nonzero(window.bits)
    xy = np.stack([column + window.x0 + 0.5, row + window.y0 + 0.5], axis=1)
    area = np.ones(len(xy))
    for warp in route.path if route.homography is None else (route.homography,):
        if isinstance(warp, Homography):
            area *= warp.magnification(xy)
        xy, there = warp.points(xy) if isinstance(warp, Homography) else (xy, np.ones(len(xy), dtype=np.bool_))
        area *= there
    x0, y0, x1, y1 = kept
    out = (xy[:, 0] < x0) | (xy[:, 1] < y0) | (xy[:, 0] >= x1) | (xy[:, 1] >= y1)
    mean = float(area.mean()) if len(area) else 1.0
    return (float(area[out].sum()) if cut else 0.0) + window.beyond_px * mean


def _before_horizon(polygon: F64, warp: Homography) -> F64:
    """A convex polygon (n, 2) without what lies behind the horizon of a homography."""
    if warp.affine or not len(polygon):
        return polygon
    line = warp.dst_from_src[2]
    height = polygon @ line[:2] + line[2] - 2 * warp.horizon
    if (height > 0).all():
        return polygon
    kept = []
    for i in range(len(polygon)):
        a, b, u, v = polygon[i - 1], polygon[i], height[i - 1], height[i]
        if (u > 0) != (v > 0):
            kept.append(a + (b - a) * (u / (u - v)))
        if v > 0:
            kept.append(b)
    return np.array(kept).reshape(-1, 2)
