"""How far apart two places are, by Vincenty's inverse formula: another way than the one the cars go."""

from __future__ import annotations

import math
from typing import Final

_A_M: Final = 6_378_137.0
_F: Final = 1 / 298.257_223_563
_B_M: Final = _A_M * (1 - _F)
_ROUNDS: Final = 50
_CLOSE: Final = 1e-13

LatLon = tuple[float, float]


def vincenty_m(here: LatLon, there: LatLon) -> float:
    """Return the length of the WGS 84 geodesic in metres, to a tenth of a millimetre; infinite nearly opposite on the globe.

    Source: T. Vincenty, Direct and Inverse Solutions of Geodesics on the Ellipsoid, Survey Review 23 (1975).
    """
    u1, u2 = (math.atan((1 - _F) * math.tan(math.radians(latitude))) for latitude, _ in (here, there))
    apart = math.radians(there[1] - here[1])
    sin_u1, cos_u1, sin_u2, cos_u2 = math.sin(u1), math.cos(u1), math.sin(u2), math.cos(u2)
    longitude = apart
    for _ in range(_ROUNDS):
        sin_l, cos_l = math.sin(longitude), math.cos(longitude)
        sin_s = math.hypot(cos_u2 * sin_l, cos_u1 * sin_u2 - sin_u1 * cos_u2 * cos_l)
        if sin_s == 0:
            return 0.0
        cos_s = sin_u1 * sin_u2 + cos_u1 * cos_u2 * cos_l
        s = math.atan2(sin_s, cos_s)
        sin_a = cos_u1 * cos_u2 * sin_l / sin_s
        cos2_a = 1 - sin_a * sin_a
        cos_2m = cos_s - 2 * sin_u1 * sin_u2 / cos2_a if cos2_a else 0.0
        c = _F / 16 * cos2_a * (4 + _F * (4 - 3 * cos2_a))
        before = longitude
        longitude = apart + (1 - c) * _F * sin_a * (s + c * sin_s * (cos_2m + c * cos_s * (2 * cos_2m * cos_2m - 1)))
        if abs(longitude - before) < _CLOSE:
            return _length_m(s, sin_s, cos_s, cos_2m, cos2_a)
    return math.inf


def _length_m(s: float, sin_s: float, cos_s: float, cos_2m: float, cos2_a: float) -> float:
    u_2 = cos2_a * (_A_M * _A_M - _B_M * _B_M) / (_B_M * _B_M)
    a = 1 + u_2 / 16384 * (4096 + u_2 * (-768 + u_2 * (320 - 175 * u_2)))
    b = u_2 / 1024 * (256 + u_2 * (-128 + u_2 * (74 - 47 * u_2)))
    inner = cos_s * (2 * cos_2m * cos_2m - 1) - b / 6 * cos_2m * (4 * sin_s * sin_s - 3) * (4 * cos_2m * cos_2m - 3)
    return _B_M * a * (s - b * sin_s * (cos_2m + b / 4 * inner))
