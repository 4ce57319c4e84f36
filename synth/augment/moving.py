"""A draft on its way through a list of maps and paints.

The picture is resampled at every step, since a later one may paint on it. Labels wait: they are resampled once, at the end, through the
product of all maps, so that a list of ten maps leaves them as sharp as one does. What a frame on the way cut off and what a hole on the
way hid is remembered and carried through the maps that follow it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from synth.augment.cameras import View, look_through, turn_depth, turn_measured, turn_normals
from synth.augment.warp import (
    CONSTANT,
    LINEAR,
    Field,
    Homography,
    Nearest,
    Warp,
    nearest,
    pick,
    relocate,
    sample_image,
    sample_nearest,
    sample_window,
)
from synth.geometry import convex_hull
from synth.types import F32, F64, U8, Bool, Category, Draft, DraftInstance, Window

_HALF = np.float32(0.5)  # from synth's pixel law to cv2's
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
    whole = route.homography
    instance = route.labels(draft.instance, hidden)
    if not path:
        return replace(draft, instance=instance)
    depth = None if draft.depth_m is None else route.pixels(draft.depth_m, np.inf)
    normals = None if draft.normals is None else route.pixels(draft.normals, 0.0)
    if whole is not None:
        view = look_through(draft.camera, whole)
        depth = None if depth is None else turn_depth(depth, view)
        normals = turn_normals(normals, view)
    else:  # no K describes the picture; what was measured stays in the frame of the camera that took it
        view = View(None, np.eye(3), not route.mirrors)
        normals = None if route.mirrors else normals
    items = _carry_items(draft.instances, route, view)
    return replace(draft, instance=instance, instances=items, depth_m=depth, normals=normals, camera=view.camera)


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
            self._traced = self._trace(0, 0, *self.size)
        return self._traced

    def _trace(self, x0: int, y0: int, x1: int, y1: int) -> list[F32]:
        traced = [self.path[-1].centres(x0, y0, x1, y1)]
        for warp in self.path[-2::-1]:
            traced.append(warp.sources(traced[-1]))
        return traced[::-1]

    def nearest_in(self, x0: int, y0: int, x1: int, y1: int) -> Nearest:
        """The pixels of the first frame that those of a window take their label from."""
        if x0 >= 0 and y0 >= 0 and x1 <= self.size[0] and y1 <= self.size[1]:
            return self.nearest[y0:y1, x0:x1]
        return nearest(self._trace(x0, y0, x1, y1)[0] - _HALF)

    @cached_property
    def nearest(self) -> Nearest:
        """The pixel of the first frame that each pixel of the last one takes its label from."""
        last = self.path[-1]
        if len(self.path) == 1 and isinstance(last, Field):
            return nearest(last.dense_cv)
        return nearest(self.trace()[0] - _HALF)

    def pixels(self, array: _Array, outside: float) -> _Array:
        """A map of the first frame (h, w, ...), as the last one shows it."""
        if self.homography is not None:
            moved = sample_nearest(array, self.homography, outside=outside)
        else:
            moved = pick(array, self.nearest, outside)
        if self._cut_off is not None:
            moved = moved.copy()
            moved[self._cut_off] = outside
        return moved

    def labels(self, instance: _Array, hidden: dict[int, Bool]) -> _Array:
        """The instance map of the first frame, as the last one shows it, without what is hidden on the way."""
        hidden = dict(hidden)
        if 0 in hidden:
            instance = cast(_Array, instance * ~hidden.pop(0))
        if not self.path:
            return instance
        moved = self.pixels(instance, 0)
        if hidden:
            moved = moved.copy()
        for done, mask in hidden.items():
            rest = _Route(self.path[done:])
            bits = mask.view(np.uint8)
            if not rest.path:
                covered = bits
            elif self._traced is not None:
                covered = pick(bits, nearest(self._traced[done] - _HALF))
            elif rest.homography is not None:
                covered = sample_nearest(bits, rest.homography)
            else:
                covered = pick(bits, rest.nearest)
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
    if len(path) == 1:
        return path[0] if isinstance(path[0], Homography) else None
    matrix = np.eye(3)
    for warp in path:
        if not isinstance(warp, Homography):
            return None
        matrix = warp.dst_from_src @ matrix
    return Homography(matrix, path[-1].width, path[-1].height) if path else None


# --- one instance -----------------------------------------------------------------------------------------------------


def _carry_items(items: tuple[DraftInstance, ...], route: _Route, view: View) -> tuple[DraftInstance, ...]:
    """All that is known of instances through the maps. Points of all instances go together, which is faster."""
    if not items:
        return items
    whole = route.homography
    outlines = [item.outline_xy if whole is None else before_horizon(item.outline_xy, whole) for item in items]
    points = [*outlines, *(item.keypoint_xy for item in items)]
    xy, there = route.points(np.concatenate(points))
    ends = list(accumulate(map(len, points), initial=0))
    parts = [slice(*ends[i : i + 2]) for i in range(len(points))]
    carried = []
    for i, (item, silhouette) in enumerate(zip(items, carry_windows([item.silhouette for item in items], route), strict=True)):
        outline, points_of = xy[parts[i]], parts[len(items) + i]
        if whole is None:
            # What lies on the hull may bend inwards and what lies within may bend outwards: the silhouette itself says where it is now.
            outline = np.concatenate([outline, _rims(silhouette)])
        xyz_m, pose = turn_measured(item.keypoint_xyz_m, item.camera_from_object, view)
        front, surface, at = item.keypoint_front & there[points_of], item.keypoint_surface, xy[points_of]
        order = mirror_order(item.category, len(at)) if route.mirrors else None
        if order is not None:  # left and right exchanged, as in a mirror
            at, front, surface, xyz_m = at[order], front[order], surface[order], None if xyz_m is None else xyz_m[order]
        carried.append(
            replace(
                item,
                silhouette=silhouette,
                outline_xy=outline,
                keypoint_xy=at,
                keypoint_front=front,
                keypoint_surface=surface,
                keypoint_xyz_m=xyz_m,
                camera_from_object=pose,
            )
        )
    return tuple(carried)


def _rims(window: Window) -> F64:
    """(n, 2) the centres of the pixels at the rim of a silhouette."""
    import cv2

    if not window.bits.size:
        return np.zeros((0, 2))
    rims = cv2.findContours(window.bits.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(window.x0, window.y0))[0]
    return np.concatenate(rims)[:, 0] + 0.5 if rims else np.zeros((0, 2))


def mirror_order(category: Category, count: int) -> list[int] | None:
    """Which of `count` points each takes the place of, None where a mirror changes no name."""
    if not category.mirror:
        return None
    order = list(range(count))
    for left, right in category.mirror:
        i, j = category.keypoints.index(left), category.keypoints.index(right)
        order[i], order[j] = j, i
    return order


def carry_windows(windows: Sequence[Window], route: _Route) -> list[Window]:
    """Silhouettes through the maps, frames on the way ignored: each is all the object covers, in the frame or out of it."""
    whole = route.homography
    if whole is not None and whole.lattice:
        return [_relocated(window, whole) for window in windows]
    boxes = np.array([[(w.x0, w.y0), (w.x0 + w.bits.shape[1], w.y0 + w.bits.shape[0])] for w in windows], dtype=np.float64)
    reaches = _reaches(route, boxes)
    limit = np.array(route.size)
    kept = np.stack([np.floor(reaches[:, 0]), np.ceil(reaches[:, 1])], axis=1)
    held = np.clip(kept, -limit, 2 * limit)
    cut = (kept != held).any(axis=(1, 2))
    frames = held.astype(int).reshape(-1, 4).tolist()
    return [_carry_window(w, route, tuple(frame), bool(c)) for w, frame, c in zip(windows, frames, cut.tolist(), strict=True)]


def _relocated(window: Window, lattice: Homography) -> Window:
    if not window.bits.size:
        return window
    (a, _, x), (_, d, y) = lattice.steps
    if a == d == 1:
        return Window(window.bits, window.x0 + x, window.y0 + y, window.beyond_px)
    turned, x0, y0 = relocate(window.bits.view(np.uint8), lattice, (window.x0, window.y0))
    return Window(np.ascontiguousarray(turned).view(np.bool_), x0, y0, window.beyond_px)


def _carry_window(window: Window, route: _Route, frame: tuple[int, int, int, int], cut: bool) -> Window:
    """One silhouette in the window (x0, y0, x1, y1) of the last frame's canvas; cut: it may reach beyond that."""
    import cv2

    x0, y0, x1, y1 = frame
    if not window.bits.size or x1 <= x0 or y1 <= y0:
        beyond = _beyond(window, route, cut, frame) if window.bits.size and (window.beyond_px or cut) else window.beyond_px
        return Window(np.zeros((0, 0), dtype=np.bool_), x0, y0, beyond)
    bits = window.bits.view(np.uint8)
    if route.homography is not None and route.homography.zoom:
        moved, x0, y0 = route.homography.zoom.take(bits, (window.x0, window.y0), frame)
    elif route.homography is not None:
        moved = sample_window(bits, route.homography, (window.x0, window.y0), frame)
    else:
        moved = pick(bits, cast(Nearest, cv2.subtract(route.nearest_in(*frame), (window.x0, window.y0, 0, 0))))
    return Window(moved.view(np.bool_), x0, y0, _beyond(window, route, cut, frame) if window.beyond_px or cut else 0.0)


def _reaches(route: _Route, boxes: F64) -> F64:
    """Where the maps take what lies in boxes (n, 2, 2), low and high corner, as such boxes; some more than needed where maps bend."""
    for warp in route.path if route.homography is None else (route.homography,):
        if isinstance(warp, Field):
            boxes = warp.reached(boxes)
        else:
            corners = boxes[:, [0, 0, 1, 1], 0], boxes[:, [0, 1, 0, 1], 1]
            moved, there = warp.points(np.stack(corners, axis=-1).reshape(-1, 2))
            moved = moved.reshape(-1, 4, 2)
            found = np.stack([moved.min(axis=1), moved.max(axis=1)], axis=1)
            for i in np.flatnonzero(~there.reshape(-1, 4).all(axis=1)):
                (x0, y0), (x1, y1) = boxes[i]
                left = warp.points(before_horizon(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), warp))[0]
                found[i] = (left.min(axis=0), left.max(axis=0)) if len(left) else 0.0
            boxes = found
    return boxes


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


def before_horizon(polygon: F64, warp: Homography) -> F64:
    """Points (n, 2), or where some lie behind the horizon of a homography, the corners of what is left of their hull before it."""
    if warp.affine or not len(polygon):
        return polygon
    line = warp.dst_from_src[2]
    height = polygon @ line[:2] + line[2] - 2 * warp.horizon
    if (height > 0).all():
        return polygon
    polygon = convex_hull(polygon)
    height = polygon @ line[:2] + line[2] - 2 * warp.horizon
    kept = []
    for i in range(len(polygon)):
        a, b, u, v = polygon[i - 1], polygon[i], height[i - 1], height[i]
        if (u > 0) != (v > 0):
            kept.append(a + (b - a) * (u / (u - v)))
        if v > 0:
            kept.append(b)
    return np.array(kept).reshape(-1, 2)
