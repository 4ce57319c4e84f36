"""What a human figure looks like: solids of its body, hair and clothes, in the pose that they are modelled in.

Breadths, depths and girths of the body are modelled by eye for a stature of 1.75 m, a man's and a woman's; between them the form is mixed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from synth.geometry import transform
from synth.types import F64
from synth_scenes.implicit import Part, Solid, chain, cut, ellipsoid, half_space, tube, united
from synth_scenes.skeleton import BIND, SOLE_M, skeleton

SIDES = ("left", "right")
EYE_M = (0.0725, 0.0325, 0.0785)
"""Middle of the left eye in the frame of the head; its radius is EYE_RADIUS_M."""
EYE_RADIUS_M = 0.0125
HAIR = ("bald", "short", "crop", "bob", "long", "bun", "curls")
TOPS = ("tee", "shirt", "jumper", "vest")
BOTTOMS = ("trousers", "shorts", "jeans")


@cache
def bind() -> dict[str, F64]:
    """object_from_link (4, 4) in the pose that shapes are modelled in."""
    return skeleton().poses(BIND)  # type: ignore[arg-type]


def _mix(male: Sequence[Sequence[float]], female: Sequence[Sequence[float]], feminine: float) -> list[list[float]]:
    mixed: list[list[float]] = (np.array(male) * (1 - feminine) + np.array(female) * feminine).tolist()
    return mixed


@cache
def body(feminine: float) -> dict[str, Part]:
    """The solids of the body by what moves them: `trunk` (pelvis, spine and chest together) or a link. feminine: 0 to 1."""
    found = {name: [part.moved(bind()[name]) for part in parts] for name, parts in _limbs(feminine).items()}
    found["trunk"] = _trunk(feminine)
    found |= {
        name: [part.moved(bind()[name]) for part in parts] for name, parts in {"neck": _neck(feminine), "head": _head(feminine)}.items()
    }
    return {name: united(parts, 0.035 if name != "head" else 0.014) for name, parts in found.items()}


def _trunk(feminine: float) -> list[Part]:
    male = [
        (0.895, 0.100, 0.150, -0.008),
        (0.960, 0.114, 0.168, -0.006),
        (1.030, 0.107, 0.158, 0.002),
        (1.110, 0.100, 0.139, 0.006),
        (1.190, 0.106, 0.147, 0.006),
        (1.270, 0.117, 0.164, 0.004),
        (1.340, 0.116, 0.174, -0.004),
        (1.395, 0.090, 0.148, -0.014),
        (1.445, 0.058, 0.085, -0.020),
    ]
    female = [
        (0.895, 0.106, 0.158, -0.008),
        (0.960, 0.116, 0.180, -0.008),
        (1.030, 0.104, 0.163, -0.002),
        (1.110, 0.091, 0.128, 0.004),
        (1.190, 0.094, 0.130, 0.004),
        (1.270, 0.102, 0.143, 0.000),
        (1.340, 0.100, 0.148, -0.008),
        (1.400, 0.080, 0.134, -0.016),
        (1.440, 0.056, 0.090, -0.020),
    ]
    rows = np.array(_mix(male, female, feminine))
    low, high = rows[0, 0], rows[-1, 0]
    profile = [((z - low) / (high - low), rx, ry, ox) for z, rx, ry, ox in rows.tolist()]
    parts = [tube((0, 0, low), (0, 0, high), profile, power=2.25)]
    for s in (1, -1):
        parts.append(ellipsoid((-0.062, 0.078 * s, 0.925), (0.070, 0.080, 0.085)))  # buttock
        parts.append(
            tube((-0.028, 0.025 * s, 1.487), (-0.020, 0.150 * s, 1.432), [(0, 0.040, 0.036), (0.5, 0.042, 0.036), (1, 0.038, 0.038)])
        )  # trapezius
        chest = np.array([0.066, 0.078, 1.315]) * (1 - feminine) + np.array([0.076, 0.072, 1.285]) * feminine
        radii = np.array([0.050, 0.085, 0.065]) * (1 - feminine) + np.array([0.062, 0.062, 0.062]) * feminine
        parts.append(ellipsoid((chest[0], chest[1] * s, chest[2]), radii.tolist()))
    parts.append(ellipsoid((0.0, 0.0, 0.875), (0.075, 0.075, 0.06)))  # crotch
    return parts


def _limbs(feminine: float) -> dict[str, list[Part]]:
    arm, leg = 1 - 0.16 * feminine, 1 + 0.02 * feminine
    found: dict[str, list[Part]] = {}
    for which, s in zip(SIDES, (1, -1), strict=True):
        limbs = {
            "clavicle": [tube((-0.01, 0.05 * s, 0.012), (-0.014, 0.135 * s, 0.006), [(0, 0.036, 0.036), (1, 0.040, 0.040)])],
            "upper_arm": [
                ellipsoid((0.0, 0.004 * s, -0.022), (0.054 * arm, 0.050 * arm, 0.068)),
                _limb(0.31, [(0, 0.047, 0.045), (0.35, 0.047, 0.043), (0.65, 0.043, 0.040), (0.92, 0.038, 0.038), (1, 0.038, 0.038)], arm),
            ],
            "forearm": [_limb(0.13, [(0, 0.039, 0.038), (0.3, 0.042, 0.043), (1, 0.036, 0.036)], arm)],
            "wrist": [_limb(0.125, [(0, 0.036, 0.036), (0.6, 0.030, 0.025), (1, 0.028, 0.020)], arm)],
            "thigh": [
                tube(
                    (0, 0, 0.0),
                    (0, 0, -0.42),
                    [
                        (t, x * leg, y * leg, ox, 0)
                        for t, x, y, ox in (
                            (0, 0.086, 0.083, 0),
                            (0.2, 0.088, 0.082, 0.004),
                            (0.55, 0.073, 0.068, 0.006),
                            (0.86, 0.056, 0.055, 0.002),
                            (1, 0.054, 0.053, 0),
                        )
                    ],
                )
            ],
            "shin": [
                tube(
                    (0, 0, 0.0),
                    (0, 0, -0.42),
                    [
                        (t, x, y, ox, 0)
                        for t, x, y, ox in (
                            (0, 0.053, 0.052, 0),
                            (0.12, 0.053, 0.050, -0.004),
                            (0.30, 0.060, 0.056, -0.014),
                            (0.55, 0.051, 0.049, -0.012),
                            (0.8, 0.037, 0.036, -0.006),
                            (1, 0.035, 0.033, 0),
                        )
                    ],
                ),
                ellipsoid((0.034, 0, 0.0), (0.026, 0.032, 0.036)),  # kneecap
            ],
            "foot": [
                tube((-0.02, 0, -0.04), (0.15, 0.008 * s, -0.058), [(0, 0.033, 0.032), (0.5, 0.032, 0.040), (1, 0.016, 0.038)]),
            ],
            "hand": _hand(s),
        }
        found |= {f"{which}_{name}": parts for name, parts in limbs.items()}
    return found


def _limb(length_m: float, profile: Sequence[Sequence[float]], scale: float) -> Part:
    return tube((0, 0, 0), (0, 0, -length_m), [(t, x * scale, y * scale) for t, x, y in profile])


def _hand(s: int) -> list[Part]:
    """A relaxed hand. s: 1 on the left, whose palm looks along -y."""
    parts = [ellipsoid((0.0, 0.002 * s, -0.044), (0.041, 0.0155, 0.052), power=2.7)]
    parts.append(ellipsoid((0.022, -0.008 * s, -0.035), (0.020, 0.016, 0.032)))  # ball of the thumb
    for x, length, curl in ((0.031, 0.072, 0.30), (0.0105, 0.082, 0.36), (-0.010, 0.076, 0.44), (-0.030, 0.060, 0.52)):
        bones, at = [(x, 0.002 * s, -0.083)], np.array([x, 0.002 * s, -0.083])
        for i, share in enumerate((0.45, 0.31, 0.24)):
            angle = curl * (i + 0.6)
            at = at + length * share * np.array([x * 0.9, -s * math.sin(angle), -math.cos(angle)])
            bones.append(tuple(at.tolist()))
        parts += chain(bones, (0.0100, 0.0090, 0.0082, 0.0066))
    parts += chain([(0.026, -0.006 * s, -0.026), (0.050, -0.016 * s, -0.058), (0.056, -0.024 * s, -0.088)], (0.0130, 0.0112, 0.0080))
    return [united(parts, 0.010)]


def _neck(feminine: float) -> list[Part]:
    r = 0.060 - 0.011 * feminine
    return [tube((-0.004, 0, -0.07), (0.012, 0, 0.095), [(0, r * 1.1, r * 1.12), (0.5, r, r * 0.97), (1, r * 0.95, r * 0.95)])]


def _head(feminine: float) -> list[Part]:
    jaw = 1 - 0.09 * feminine
    parts = [
        ellipsoid((-0.004, 0, 0.108), (0.096, 0.075, 0.086)),
        ellipsoid((0.032, 0, 0.038), (0.066, 0.060 * jaw, 0.084)),
        ellipsoid((0.070, 0, -0.020), (0.027, 0.031 * jaw, 0.023)),
        ellipsoid((0.062, 0, 0.005), (0.036, 0.040 * jaw, 0.030)),
    ]
    for s in (1, -1):
        parts.append(tube((0.012, 0.049 * s * jaw, 0.012), (0.066, 0.024 * s * jaw, -0.024), [(0, 0.015, 0.014), (1, 0.016, 0.016)]))  # jaw
        parts.append(ellipsoid((0.060, 0.038 * s, 0.048), (0.026, 0.024, 0.024)))  # cheek
        parts.append(tube((0.085, 0.012 * s, 0.097), (0.068, 0.050 * s, 0.098), [(0, 0.007, 0.009), (1, 0.006, 0.008)]))  # brow
    skull = united(parts, 0.022)
    for s in (1, -1):
        socket = ellipsoid((0.092, 0.0335 * s, 0.0785), (0.020, 0.0165, 0.0062))
        skull = cut(skull, socket.solid, 0.010)
    nose = [
        tube((0.090, 0, 0.084), (0.110, 0, 0.047), [(0, 0.0085, 0.0075), (0.7, 0.0105, 0.0105), (1, 0.0115, 0.0120)]),
        *(ellipsoid((0.100, 0.0125 * s, 0.043), (0.010, 0.0075, 0.0075)) for s in (1, -1)),
    ]
    lips = [
        *(tube((0.099, 0, 0.0145), (0.086, 0.0235 * s, 0.0085), [(0, 0.0058, 0.0058), (1, 0.0030, 0.0030)]) for s in (1, -1)),
        *(tube((0.098, 0, 0.0045), (0.086, 0.0220 * s, 0.0075), [(0, 0.0066, 0.0066), (1, 0.0030, 0.0030)]) for s in (1, -1)),
    ]
    face = united([skull, united(nose, 0.008), united(lips, 0.003)], 0.009)
    ears = []
    for s in (1, -1):
        turn = _tilted(0.25, 0.35 * s)
        shell = ellipsoid((-0.006, 0.078 * s, 0.066), (0.019, 0.0085, 0.032), turn=turn)
        ears.append(cut(shell, ellipsoid((0.002, 0.088 * s, 0.069), (0.012, 0.009, 0.021), turn=turn).solid, 0.006))
    return [face, *ears]


def _tilted(back_rad: float, out_rad: float) -> F64:
    """(3, 3) an ear's frame: leaning back, standing off."""
    c, s, k, t = math.cos(back_rad), math.sin(back_rad), math.cos(out_rad), math.sin(out_rad)
    return np.asarray(np.array([[k, -t, 0], [t, k, 0], [0, 0, 1]]) @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]))


def hair(style: str) -> Part | None:
    """In the pose that shapes are modelled in. None: bald."""
    thick = {"short": 0.012, "crop": 0.005, "bob": 0.017, "long": 0.015, "bun": 0.008, "curls": 0.034}.get(style)
    if thick is None:
        return None
    parts = [ellipsoid((-0.008, 0, 0.110), (0.093 + thick, 0.073 + thick, 0.083 + thick))]
    low = {"short": 0.030, "crop": 0.035, "bun": 0.030}.get(style, -0.03)
    if style == "bob":
        parts.append(ellipsoid((-0.030, 0, 0.045), (0.080, 0.092, 0.095), power=2.5))
    if style == "long":
        parts.append(tube((-0.030, 0, 0.10), (-0.075, 0, -0.20), [(0, 0.085, 0.088), (0.5, 0.052, 0.098), (1, 0.022, 0.085)]))
        low = -0.24
    if style == "bun":
        parts.append(ellipsoid((-0.105, 0, 0.160), (0.036, 0.040, 0.036)))
    shape = united(parts, 0.025)
    face = ellipsoid((0.105, 0, 0.045), (0.085, 0.068 if style in ("bob", "long") else 0.085, 0.103))
    shape = cut(shape, face.solid, 0.012)
    # It ends lower at the back than before the ears.
    shape = cut(shape, half_space((0, 0, low), (-0.55 if style in ("short", "crop", "bun") else 0.1, 0, 1)), 0.01)
    if style in ("short", "crop", "bun"):
        for s in (1, -1):
            shape = cut(shape, ellipsoid((0.0, 0.085 * s, 0.060), (0.030, 0.03, 0.036)).solid, 0.01)
    return shape.moved(bind()["head"])


# --- clothes ----------------------------------------------------------------------------------------------------------


def _below(link: str, z_m: float) -> Solid:
    """What lies beyond z_m in a link's frame, away from the body."""
    frame = bind()[link]
    return half_space(transform(frame, np.array([0, 0, z_m])).tolist(), frame[:3, 2].tolist())


def top(kind: str, feminine: float) -> Part:
    """A garment for the trunk and the arms."""
    thick = {"tee": 0.012, "shirt": 0.014, "jumper": 0.024, "vest": 0.009}[kind]
    hem = {"tee": 0.865, "shirt": 0.850, "jumper": 0.875, "vest": 0.880}[kind]
    shapes = body(feminine)
    flare = 0.008 if kind != "vest" else 0.004

    def ease(points: F64) -> F64:
        """Cloth hangs from chest and shoulder blades: it stands off the waist."""
        return thick + flare * np.clip((1.22 - points[:, 2]) / 0.2, 0, 1)

    parts = [shapes["trunk"].grown(ease)]
    for which in SIDES:
        parts.append(cut(shapes[f"{which}_thigh"].grown(thick + flare + 0.006), half_space((0, 0, hem - 0.02), (0, 0, 1))))
        parts.append(shapes[f"{which}_clavicle"].grown(thick))
        if kind == "vest":
            continue
        sleeve = shapes[f"{which}_upper_arm"].grown(thick + 0.004)
        if kind == "tee":
            parts.append(cut(sleeve, _below(f"{which}_upper_arm", -0.17), 0.006))
        else:
            arm = [sleeve, shapes[f"{which}_forearm"].grown(thick), shapes[f"{which}_wrist"].grown(thick * 0.7)]
            parts.append(cut(united(arm, 0.03), _below(f"{which}_wrist", -0.105), 0.006))
    whole = united(parts, 0.03)
    if kind == "vest":
        for which in SIDES:
            frame = bind()[f"{which}_upper_arm"]
            whole = cut(whole, ellipsoid((0, 0, 0), (0.085, 0.07, 0.10)).moved(frame).solid, 0.01)
    collar = ellipsoid((0.012, 0, 1.500), (0.078, 0.074 if kind != "vest" else 0.09, 0.045 if kind != "vest" else 0.10))
    whole = cut(whole, collar.solid, 0.016)
    if kind == "shirt":
        neck = tube((-0.022, 0, 1.445), (-0.012, 0, 1.500), [(0, 0.078, 0.078), (1, 0.068, 0.068)])
        whole = united([whole, cut(neck, half_space((0, 0, 1.506), (-0.25, 0, -1)), 0.004)], 0.006)
    return cut(whole, half_space((0, 0, hem), (0, 0, 1)), 0.014)


def bottom(kind: str, feminine: float) -> Part:
    """A garment for the legs."""
    thick = {"trousers": 0.013, "shorts": 0.018, "jeans": 0.007}[kind]
    shapes = body(feminine)
    hips = cut(shapes["trunk"].grown(0.007), half_space((0, 0, 1.045), (0, 0, -1)), 0.01)
    parts = [hips]
    for which in SIDES:
        thigh = shapes[f"{which}_thigh"].grown(thick * 0.8)
        if kind == "shorts":
            wide = tube((0, 0, -0.10), (0, 0, -0.42), [(0, 0.09, 0.088), (1, 0.090, 0.088)]).moved(bind()[f"{which}_thigh"])
            parts.append(cut(united([thigh, wide], 0.03), _below(f"{which}_thigh", -0.36), 0.006))
            continue
        calf = (
            [(0, 0.06, 0.06), (0.35, 0.066, 0.062, -0.006), (1, 0.058, 0.055)]
            if kind == "trousers"
            else [(0, 0.05, 0.05), (1, 0.045, 0.044)]
        )
        straight = tube((0, 0, 0), (0, 0, -0.40), calf).moved(bind()[f"{which}_shin"])
        leg = united([thigh, shapes[f"{which}_shin"].grown(thick * 0.8), straight], 0.035)
        parts.append(cut(leg, _below(f"{which}_shin", -0.395), 0.006))
    return united(parts, 0.02)


def shoe(which: str) -> tuple[Part, Part]:
    """Upper and sole."""
    s, low = (1 if which == "left" else -1), SOLE_M
    last = [
        tube(
            (-0.035, 0, low + 0.040),
            (0.150, 0.010 * s, low + 0.032),
            [(0, 0.036, 0.036), (0.45, 0.036, 0.043), (0.8, 0.030, 0.047), (1, 0.026, 0.042)],
        ),
        tube((-0.018, 0, -0.045), (-0.012, 0, 0.012), [(0, 0.044, 0.040), (1, 0.046, 0.043)]),
        tube((0.02, 0, -0.010), (0.10, 0.006 * s, low + 0.042), [(0, 0.028, 0.032), (1, 0.024, 0.036)]),
    ]
    upper = cut(united(last, 0.035), half_space((0, 0, low + 0.012), (0, 0, 1)), 0.004)
    upper = cut(upper, half_space((0, 0, 0.022), (0.15, 0, -1)), 0.006)
    plate = tube(
        (-0.035, 0, low + 0.040), (0.150, 0.010 * s, low + 0.040), [(0, 0.2, 0.041), (0.45, 0.2, 0.046), (0.8, 0.2, 0.051), (1, 0.2, 0.046)]
    )
    outline = united(
        [ellipsoid((0.058, 0.006 * s, low + 0.04), (0.141, 0.049, 0.2), power=2.6), cut(plate, half_space((0.19, 0, 0), (-1, 0, 0)))], 0.004
    )
    sole = cut(cut(outline, half_space((0, 0, low), (0, 0, 1)), 0.004), half_space((0, 0, low + 0.024), (-0.06, 0, -1)), 0.004)
    frame = bind()[f"{which}_foot"]
    low_box, high_box = np.array([-0.12, -0.09, low - 0.01]), np.array([0.24, 0.09, 0.06])
    return upper.moved(frame), Part(sole.solid, low_box, high_box).moved(frame)
