"""Realism and rarity: two public implementations, their definitions in NumPy, and what is refused."""

import golden
import numpy as np
import pytest

import dubench_metrics as dm

RNG = np.random.default_rng(3)
REAL, FAKE = RNG.normal(size=(120, 6)), RNG.normal(0.3, 1.3, size=(80, 6))


def distances(a, b):
    """[n, m], of differences and not of products: nothing cancels."""
    return np.sqrt(((a[:, None, :] - b[None, :, :]) ** 2).sum(2))


def reaches(real, k):
    """To the k-th nearest other row; the row itself comes first."""
    return np.sort(distances(real, real), axis=1)[:, k]


def realism_by_definition(real, fake, k):
    reach = reaches(real, k)
    kept = reach <= np.median(reach)
    return (reach[kept] / distances(fake, real[kept])).max(1)


def rarity_by_definition(real, fake, k):
    """Not a number outside all balls."""
    reach = reaches(real, k)
    least = np.where(distances(fake, real) < reach, reach, np.inf).min(1)
    return np.where(np.isinf(least), np.nan, least)


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("rows", [(REAL, FAKE), (REAL[:41], FAKE[:7]), (10 * REAL, 10 * FAKE)], ids=["even", "odd", "wide"])
def test_they_are_their_definitions(rows, k):
    real, fake = rows
    np.testing.assert_allclose(dm.realism(real, fake, k=k), realism_by_definition(real, fake, k), rtol=1e-12)
    np.testing.assert_allclose(dm.rarity(real, fake, k=k).filled(np.nan), rarity_by_definition(real, fake, k), rtol=1e-12)


def test_they_are_those_of_their_implementations():
    file = golden.read("realism")
    real, fake = np.array(file["real"]), np.array(file["fake"])
    # The one of realism adds 1e-6 to distances; that of rarity gives 0 outside all balls.
    np.testing.assert_allclose(dm.realism(real, fake), file["realism"], rtol=1e-5)
    rarity = dm.rarity(real, fake)
    np.testing.assert_allclose(rarity.filled(0.0), file["rarity"], rtol=1e-5)
    assert rarity.mask.sum() == 8


def test_an_image_outside_all_balls_has_no_rarity_and_spoils_no_mean():
    real = np.array([[0.0], [1.0], [2.0], [12.0]])
    found = dm.rarity(real, np.array([[0.5], [5.0], [30.0]]), k=1)
    assert found.tolist() == [1.0, 10.0, None]
    assert found.mean() == 5.5 and found.compressed().tolist() == [1.0, 10.0]
    assert dm.rarity(real, np.array([[30.0]]), k=1).mask.all()
    assert not dm.rarity(real, np.array([[0.5]]), k=1).mask.any()


def test_a_copy_of_a_real_image_is_as_real_as_can_be():
    assert np.isinf(dm.realism(REAL, REAL[reaches(REAL, 3).argmin()][None])).all()


def test_every_layout_gives_the_same_bits_and_float32_its_own_numbers():
    expected = dm.realism(REAL, FAKE), dm.rarity(REAL, FAKE)
    for wrap in (np.asfortranarray, lambda rows: rows[::-1].copy()[::-1]):
        np.testing.assert_array_equal(dm.realism(wrap(REAL), wrap(FAKE)), expected[0])
        np.testing.assert_array_equal(dm.rarity(wrap(REAL), wrap(FAKE)), expected[1])
    single = [rows.astype(np.float32) for rows in (REAL, FAKE)]
    wide = [rows.astype(np.float64) for rows in single]
    np.testing.assert_array_equal(dm.realism(*single), dm.realism(*wide))


@pytest.mark.parametrize("metric", [dm.realism, dm.rarity])
def test_what_is_no_pair_of_sets_is_refused_in_words(metric):
    with pytest.raises(ValueError, match="k of the nearest neighbour is 0"):
        metric(REAL, FAKE, k=0)
    with pytest.raises(ValueError, match="the real set"):
        metric(REAL[:3], FAKE, k=3)
    with pytest.raises(ValueError, match="the fake set"):
        metric(REAL, FAKE[:0])
    with pytest.raises(ValueError, match="features of the fake set"):
        metric(REAL, FAKE[:, :5])
    with pytest.raises(ValueError, match="real"):
        metric(REAL[0], FAKE)
    holed = FAKE.copy()
    holed[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN|finite"):
        metric(REAL, holed)
