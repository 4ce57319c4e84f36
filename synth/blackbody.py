"""The colour of hot things: lamps, the sun, and what a camera balances its white for."""

from __future__ import annotations

import numpy as np

from synth.types import F64

RANGE_K = (1700.0, 25000.0)


def blackbody(kelvin: float) -> F64:
    """(3,) linear sRGB of a blackbody of RANGE_K, luminance 1, about white at 6500 K (locus: Kim et al. 2002, US patent 7024034)."""
    t = kelvin / 1000
    if t < 4:
        x = -0.2661239 / t**3 - 0.2343589 / t**2 + 0.8776956 / t + 0.179910
    else:
        x = -3.0258469 / t**3 + 2.1070379 / t**2 + 0.2226347 / t + 0.240390
    a, b, c, d = (
        (-1.1063814, -1.34811020, 2.18555832, -0.20219683)
        if t < 2.222
        else (-0.9549476, -1.37418593, 2.09137015, -0.16748867)
        if t < 4
        else (3.0817580, -5.87338670, 3.75112997, -0.37001483)
    )
    y = ((a * x + b) * x + c) * x + d
    xyz = np.array([x / y, 1, (1 - x - y) / y])
    rgb = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]) @ xyz
    return np.asarray(np.maximum(rgb, 0))
