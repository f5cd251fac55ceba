"""Changes of sounds and spectrograms, against what their numbers promise."""

from __future__ import annotations

import numpy as np
import pytest
from augmentations import sound
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.augment.gain import Gain
from luthier.augment.noise import Noise
from luthier.augment.shift import Shift
from luthier.augment.spectrogram import Spectrogram


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("decibels", [0.0, 10.0, 25.0])
def test_noise_has_the_power_that_the_ratio_says(decibels: float) -> None:
    before = sound(40_000)
    noise = Noise(ratio=(decibels, decibels)).apply(before, random()).samples - before.samples
    measured = 10 * np.log10(np.mean(before.samples**2) / np.mean(noise**2))
    assert measured == pytest.approx(decibels, abs=0.1)
    assert abs(np.mean(noise)) < 5 * np.std(noise) / np.sqrt(len(noise))


def test_ratios_are_drawn_from_the_whole_range() -> None:
    before = sound(4000)
    noises = [Noise(ratio=(0, 40)).apply(before, random(seed)).samples - before.samples for seed in range(60)]
    ratios = [10 * np.log10(np.mean(before.samples**2) / np.mean(noise**2)) for noise in noises]
    assert min(ratios) < 5
    assert max(ratios) > 35


def test_silence_stays_silent() -> None:
    silent = sound(100)
    silent.samples[:] = 0
    for method in (Noise(), Gain(), Shift()):
        assert not method.apply(silent, random()).samples.any()


def test_six_decibels_are_twice_the_amplitude() -> None:
    before = sound()
    louder = Gain(decibels=(6.0206, 6.0206)).apply(before, random())
    assert np.allclose(louder.samples, 2 * before.samples, rtol=1e-4)
    factors = [Gain().apply(before, random(seed)).samples[0] / before.samples[0] for seed in range(100)]
    assert 0.49 < min(factors) < 0.55
    assert 1.8 < max(factors) < 2.01


@settings(max_examples=60, deadline=None)
@given(samples=st.integers(1, 200), seed=st.integers(0, 500))
def test_a_shift_moves_all_samples_and_fills_up_with_silence(samples: int, seed: int) -> None:
    before = sound(samples)  # without zeros
    after = Shift(seconds=0.01).apply(before, random(seed)).samples  # at most 80 samples
    (kept,) = np.nonzero(after)
    lost = samples - len(kept)
    assert lost <= min(80, samples // 2)
    shifts = {
        tuple(before.samples[lost:]): kept[0] == 0,
        tuple(before.samples[: samples - lost]): kept[-1] == samples - 1,
    }
    assert shifts[tuple(after[kept])]
    assert np.array_equal(np.diff(kept), np.ones(len(kept) - 1))


def test_shifts_go_both_ways_and_as_far_as_they_may() -> None:
    ways = [Shift(seconds=0.01).apply(sound(), random(seed)).samples for seed in range(200)]
    by = [int(np.flatnonzero(one)[0]) or int(np.flatnonzero(one)[-1]) - 799 for one in ways]
    assert min(by) < -70
    assert max(by) > 70


def test_masks_are_bands_and_stretches_with_the_mean_of_the_spectrogram() -> None:
    features = random(9).normal(2, 1, size=(100, 40)).astype(np.float32)
    method = Spectrogram(bands=1, band=0.25, stretches=1, stretch=0.1)
    bands, stretches = [], []
    for seed in range(200):
        changed = method.apply(features, random(seed)) != features
        whole_bins, whole_frames = changed.all(axis=0), changed.all(axis=1)
        assert np.array_equal(changed, whole_bins[None, :] | whole_frames[:, None])
        for whole, sizes in ((whole_bins, bands), (whole_frames, stretches)):
            found = np.flatnonzero(whole)
            assert np.array_equal(found, np.arange(found[0], found[-1] + 1) if len(found) else found)
            sizes.append(len(found))
        assert np.allclose(method.apply(features, random(seed))[changed], features.mean(), atol=1e-5)
    assert (min(bands), max(bands)) == (0, 10)
    assert (min(stretches), max(stretches)) == (0, 10)
    assert np.mean(bands) == pytest.approx(5, abs=1)


def test_no_masks_leave_the_spectrogram() -> None:
    features = random().normal(size=(10, 5)).astype(np.float32)
    assert np.array_equal(Spectrogram(bands=0, stretches=0).apply(features, random()), features)
