"""The start of polynomials whose squares are summed: a slope close to one."""

import math

import numpy as np


def polynomials_of_slope_one(
    num_polynomials: int, degree: int, min_slope: float, spread: float
) -> tuple[np.ndarray, np.ndarray]:
    r"""Coefficients a0 of a slope close to one, and the scales of the raw numbers.

    The constant terms alone give the slope one. The other terms are small and make the polynomials
    differ. Their effect on the slope cancels in first order:
    $\sum_k \cos(\pi (k + 1/2) l / K) = 0$. A single polynomial has no other to differ from, so it
    gets none of them.
    """
    k, powers = np.arange(num_polynomials)[:, np.newaxis], np.arange(degree + 1)
    scales = np.sqrt([float(math.prod(range(2 * i - 1, 0, -2))) for i in powers]) * spread**powers
    size = 0.01 if num_polynomials > 1 else 0.0
    offsets = size * np.cos(np.pi * (k + 0.5) * powers / num_polynomials) / scales
    offsets[:, 0] = math.sqrt((1.0 - min_slope) / num_polynomials)
    return offsets, scales
