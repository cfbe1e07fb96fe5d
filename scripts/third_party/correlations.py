"""Rank correlations with intervals."""

from __future__ import annotations

import math

import numpy as np


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share the mean of theirs."""
    order = np.argsort(values, kind="stable")
    place = np.empty(len(values))
    place[order] = np.arange(1, len(values) + 1)
    _, first, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.bincount(first, weights=place) / count)[first]


def spearman(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """Spearman's rho and its 95 % interval: Fisher's z with the variance of Bonett and Wright (2000)."""
    rho = float(np.corrcoef(ranks(one), ranks(other))[0, 1])
    half = 1.959964 * math.sqrt((1 + rho**2 / 2) / (len(one) - 3))
    z = math.atanh(min(max(rho, -0.999999), 0.999999))
    return rho, math.tanh(z - half), math.tanh(z + half)


def total_variation(images: np.ndarray) -> np.ndarray:
    """Mean absolute difference of neighbours, one an image of [n, c, h, w]: a control that asks no network."""
    down, right = np.abs(np.diff(images, axis=2)), np.abs(np.diff(images, axis=3))
    return down.mean(axis=(1, 2, 3)) + right.mean(axis=(1, 2, 3))
