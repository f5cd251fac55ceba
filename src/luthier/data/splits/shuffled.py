"""Division at random: every class keeps its share in every part."""

from __future__ import annotations

from collections import Counter

import numpy as np

from luthier.data.split import members, stratified
from luthier.data.splits.parts import Basis, Parts, Rows


def divide(basis: Basis, parts: Parts) -> Rows:
    """Divide as `luthier.data.split.stratified`; numbers of rows that were asked for are then met exactly."""
    rows = stratified(basis.labels, parts.shares, basis.seed, parts.trains)
    return _level(rows, basis, parts) if parts.exact else rows


def _level(rows: Rows, basis: Basis, parts: Parts) -> Rows:
    """Move single rows between training and the other parts until the sizes are the asked ones.

    Only classes with a few rows make them differ, by keeping their rows in training. Rows of the commonest labels are moved, whose
    shares feel it least.
    """
    counts = Counter(member for label in basis.labels for member in members(label))
    rarity = np.array([min((counts[member] for member in members(label)), default=0) for label in basis.labels])
    wanted = dict(zip(parts.shares, np.rint(parts.targets(len(basis.labels))).astype(int), strict=True))
    levelled = dict(rows)
    for name in list(rows)[1:]:
        missing = int(wanted[name]) - len(levelled[name])
        giver, taker = ("train", name) if missing > 0 else (name, "train")
        moved = _commonest(levelled[giver], rarity, abs(missing), basis.seed)
        levelled[taker] = np.sort(np.concatenate([levelled[taker], moved]))
        levelled[giver] = np.setdiff1d(levelled[giver], moved)
    return levelled


def _commonest(rows: np.ndarray, rarity: np.ndarray, count: int, seed: int) -> np.ndarray:
    shuffled = np.random.default_rng(seed).permutation(rows)
    return shuffled[np.argsort(-rarity[shuffled], kind="stable")[:count]]


def anchored(basis: Basis) -> np.ndarray:
    """Rows that have a label no other row has, (rows,) bool."""
    counts = Counter(member for label in basis.labels for member in members(label))
    return np.array([any(counts[member] == 1 for member in members(label)) for label in basis.labels], dtype=bool)
