"""What people do: poses of the human figure as distributions of joint angles, in degrees, within the limits of its joints."""

from __future__ import annotations

import math
from collections.abc import Callable

from synth.rand import Stream

Pose = dict[str, tuple[float, ...]]
GROUNDED = ("stand", "hips", "arms_up", "wave", "reach", "point", "t_pose", "phone", "crossed", "squat", "bow")
"""Poses with both soles flat on the ground."""


def draw_pose(kind: str, rng: Stream) -> Pose:
    """Angles by link, rad. Each number has its own stream."""

    def between(name: str, low: float, high: float) -> float:
        return float(rng.child(name).uniform(low, high))

    side = "left" if rng.child("side").uniform() < 0.5 else "right"
    other = "right" if side == "left" else "left"
    degrees: dict[str, tuple[float, ...]] = {
        "spine": (between("spine", -3, 5), between("lean", -3, 3), between("twist", -6, 6)),
        "chest": (between("chest", -3, 4), between("lean2", -3, 3), between("twist2", -6, 6)),
        "neck": (between("nod", -6, 14), between("tilt", -8, 8), between("look", -25, 25)),
        "head": (between("nod2", -6, 12), between("tilt2", -5, 5), between("look2", -25, 25)),
    }
    for which in ("left", "right"):
        degrees |= _arm(
            which,
            between(f"{which}_flex", -10, 14),
            between(f"{which}_out", 9, 20),
            between(f"{which}_turn", -20, 10),
            between(f"{which}_elbow", 8, 30),
            between(f"{which}_palm", -10, 45),
        )
        degrees[f"{which}_hand"] = (between(f"{which}_bend", -10, 15), between(f"{which}_side", -5, 10), 0.0)
        degrees |= _leg(
            which,
            between(f"{which}_step", -4, 5),
            between(f"{which}_stance", 2, 9),
            between(f"{which}_toe", 2, 14),
            between(f"{which}_knee", 0, 5),
        )
    _KINDS[kind](degrees, between, side, other)
    return {name: tuple(math.radians(v) for v in values) for name, values in degrees.items()}


def _arm(which: str, flex: float, out: float, turn: float, elbow: float, palm: float) -> dict[str, tuple[float, ...]]:
    """Of an arm raised so far forward and outward; beyond 30 degrees the shoulder blade takes a part (Inman et al. 1944)."""
    raised = math.degrees(math.acos(max(-1.0, min(1.0, math.cos(math.radians(flex)) * math.cos(math.radians(out))))))
    lift = min(32.0, max(0.0, raised - 30) / 4.5)
    least = 1 - lift / max(raised, 1e-9)
    return {
        f"{which}_clavicle": (lift, min(15.0, max(-8.0, flex / 10)), 0.0),
        f"{which}_upper_arm": (flex if abs(out) > abs(flex) else flex * least, out * least if abs(out) > abs(flex) else out, turn),
        f"{which}_forearm": (elbow,),
        f"{which}_wrist": (palm,),
    }


def _leg(which: str, flex: float, out: float, toe: float, knee: float) -> dict[str, tuple[float, ...]]:
    return {
        f"{which}_thigh": (flex, out, toe),
        f"{which}_shin": (knee,),
        f"{which}_foot": (max(-50.0, min(20.0, knee - flex)), max(-20.0, -out), 0.0),
    }


_Between = Callable[[str, float, float], float]
_Degrees = dict[str, tuple[float, ...]]


def _stand(d: _Degrees, r: _Between, a: str, b: str) -> None:
    """As drawn."""


def _hips(d: _Degrees, r: _Between, a: str, b: str) -> None:
    for which in (a, b):
        d |= _arm(
            which,
            r(f"{which}_f", -28, -20),
            r(f"{which}_o", 42, 50),
            r(f"{which}_t", -52, -42),
            r(f"{which}_e", 92, 104),
            r(f"{which}_p", 10, 40),
        )
        d[f"{which}_hand"] = (r(f"{which}_b", -50, -30), 0.0, 0.0)


def _arms_up(d: _Degrees, r: _Between, a: str, b: str) -> None:
    for which in (a, b):
        d |= _arm(
            which,
            r(f"{which}_f", -5, 15),
            r(f"{which}_o", 125, 168),
            r(f"{which}_t", -10, 60),
            r(f"{which}_e", 5, 60),
            r(f"{which}_p", -30, 60),
        )


def _t_pose(d: _Degrees, r: _Between, a: str, b: str) -> None:
    for which in (a, b):
        d |= _arm(
            which,
            r(f"{which}_f", -10, 15),
            r(f"{which}_o", 70, 100),
            r(f"{which}_t", -20, 40),
            r(f"{which}_e", 2, 25),
            r(f"{which}_p", 0, 80),
        )


def _wave(d: _Degrees, r: _Between, a: str, b: str) -> None:
    d |= _arm(a, r("f", 0, 25), r("o", 75, 115), r("t", 55, 88), r("e", 55, 110), r("p", -40, 60))


def _reach(d: _Degrees, r: _Between, a: str, b: str) -> None:
    d |= _arm(a, r("f", 70, 165), r("o", -5, 25), r("t", -20, 20), r("e", 3, 35), r("p", -10, 70))
    d["spine"] = (r("s", 0, 18), r("l", -5, 5), r("w", -10, 10))
    if r("two", 0, 1) < 0.4:
        d |= _arm(b, r("f2", 60, 150), r("o2", -5, 25), r("t2", -20, 20), r("e2", 3, 45), r("p2", -10, 70))


def _point(d: _Degrees, r: _Between, a: str, b: str) -> None:
    d |= _arm(a, r("f", 50, 105), r("o", 10, 60), r("t", -20, 20), r("e", 0, 12), r("p", 20, 75))


def _phone(d: _Degrees, r: _Between, a: str, b: str) -> None:
    d |= _arm(a, r("f", 28, 42), r("o", 22, 32), r("t", -25, -10), r("e", 128, 140), r("p", -20, 20))
    d["neck"] = (r("n", 5, 15), r("i", -4, 4), r("k", -6, 6))


def _crossed(d: _Degrees, r: _Between, a: str, b: str) -> None:
    """Forearms held before the belly, one above the other."""
    for i, which in enumerate((a, b)):
        d |= _arm(
            which,
            r(f"{which}_f", 36, 42) + 9 * i,
            r(f"{which}_o", 12, 18),
            r(f"{which}_t", -52, -44),
            r(f"{which}_e", 84, 92) - 4 * i,
            r(f"{which}_p", 20, 50),
        )


def _squat(d: _Degrees, r: _Between, a: str, b: str) -> None:
    deep = r("deep", 45, 80)
    for which in (a, b):
        d |= _leg(which, deep, r(f"{which}_o", 14, 22), r(f"{which}_t", 10, 20), min(deep * 1.05, deep + 18))
        d |= _arm(which, r(f"{which}_f", 40, 85), r(f"{which}_ao", 8, 25), 0.0, r(f"{which}_e", 10, 50), r(f"{which}_p", 0, 60))
    d["spine"], d["chest"] = (deep / 4, 0.0, 0.0), (deep / 5, 0.0, 0.0)
    d["neck"], d["head"] = (-deep / 8, 0.0, r("k", -15, 15)), (-deep / 8, 0.0, r("k2", -15, 15))


def _bow(d: _Degrees, r: _Between, a: str, b: str) -> None:
    deep = r("deep", 15, 38)
    d["spine"], d["chest"] = (deep, 0.0, r("w", -10, 10)), (deep * 0.8, 0.0, r("w2", -10, 10))
    d |= _arm(a, r("f", 50, 95), r("o", 5, 25), r("t", -10, 10), r("e", 5, 30), r("p", 0, 60))
    d |= _arm(b, r("f2", 10, 60), r("o2", 8, 25), r("t2", -10, 10), r("e2", 10, 60), r("p2", 0, 60))


def _walk(d: _Degrees, r: _Between, a: str, b: str) -> None:
    """Somewhere in a stride: hips and knees by the phase, arms against the legs (joint angles of level walking after Winter)."""
    phase, stride = r("phase", 0, 2 * math.pi), r("stride", 18, 28)
    for which, at in ((a, phase), (b, phase + math.pi)):
        hip = 6 + stride * math.cos(at)
        swing = max(0.0, math.sin(at - math.pi)) ** 1.5
        knee = 6 + 55 * swing * (0.6 + 0.4 * math.cos(at)) + 5 * (1 - math.cos(at))
        d |= _leg(which, hip, r(f"{which}_o", 0, 3), r(f"{which}_t", 2, 8), knee)
        toes = max(0.0, -math.cos(at)) * 18
        d[f"{which}_foot"] = (max(-50.0, min(20.0, (knee - hip) * 0.6 - toes + 6)), 0.0, 0.0)
        d |= _arm(
            which,
            -stride * 0.9 * math.cos(at) + 4,
            r(f"{which}_ao", 9, 15),
            -10.0,
            r(f"{which}_e", 12, 30) + max(0.0, -math.cos(at)) * 15,
            r(f"{which}_p", 0, 40),
        )
    d["spine"] = (r("s", 0, 6), 0.0, r("w", 2, 6) * math.cos(phase) * (1 if a == "left" else -1))


def _run(d: _Degrees, r: _Between, a: str, b: str) -> None:
    phase, stride = r("phase", 0, 2 * math.pi), r("stride", 35, 48)
    for which, at in ((a, phase), (b, phase + math.pi)):
        hip = 14 + stride * math.cos(at)
        knee = 20 + 75 * max(0.0, math.sin(at - math.pi * 0.9)) + 10 * (1 - math.cos(at)) / 2
        d |= _leg(which, max(-28.0, hip), r(f"{which}_o", 0, 3), 4.0, knee)
        d[f"{which}_foot"] = (-15.0 - 20 * max(0.0, -math.cos(at)), 0.0, 0.0)
        d |= _arm(which, -42 * math.cos(at) + 2, r(f"{which}_ao", 12, 20), -12.0, r(f"{which}_e", 75, 105), r(f"{which}_p", 0, 30))
    d["spine"], d["neck"] = (r("s", 8, 16), 0.0, 0.0), (-6.0, 0.0, r("k", -10, 10))


def _sit(d: _Degrees, r: _Between, a: str, b: str) -> None:
    hip = r("h", 80, 90)
    for which in (a, b):
        d |= _leg(which, hip, r(f"{which}_o", 4, 16), r(f"{which}_t", -4, 6), hip + r(f"{which}_k", -4, 12))
        d |= _arm(
            which,
            r(f"{which}_f", 22, 36),
            r(f"{which}_ao", 6, 12),
            r(f"{which}_at", -16, -4),
            r(f"{which}_e", 34, 52),
            r(f"{which}_p", 40, 75),
        )
    d["spine"], d["chest"] = (r("s", -2, 12), 0.0, r("w", -6, 6)), (r("c", 0, 10), 0.0, r("w2", -6, 6))
    if r("busy", 0, 1) < 0.4:
        d |= _arm(a, r("f", 40, 85), r("o", 5, 20), r("t", -25, 5), r("e", 40, 95), r("p", 0, 60))


_KINDS: dict[str, Callable[[_Degrees, _Between, str, str], None]] = {
    "stand": _stand,
    "hips": _hips,
    "arms_up": _arms_up,
    "t_pose": _t_pose,
    "wave": _wave,
    "reach": _reach,
    "point": _point,
    "phone": _phone,
    "crossed": _crossed,
    "squat": _squat,
    "bow": _bow,
    "walk": _walk,
    "run": _run,
    "sit": _sit,
}
KINDS = tuple(_KINDS)
