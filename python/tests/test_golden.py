"""The numbers are those of pytorch-fid, torch-fidelity, prdc, SciPy and the definitions, from the same arrays."""

import golden
import numpy as np
import pytest

import dubench_metrics as dm

CLOSE = {"rel": 1e-9, "abs": 1e-12}
SINGLE = {"rel": 1e-5}  # torch-fidelity computes its kernel in float32


def test_fid_is_that_of_pytorch_fid():
    cases = golden.read("frechet")["cases"]
    theirs = [case["pytorch_fid"] for case in cases if case["pytorch_fid"] is not None]
    assert theirs, "the file holds values of pytorch-fid"
    for case in cases:
        a, b = np.array(case["a"]), np.array(case["b"])
        ours = dm.Reference(a).distance(b)
        assert ours == pytest.approx(case["nuclear"], **CLOSE)
        if case["pytorch_fid"] is not None:
            assert ours == pytest.approx(case["pytorch_fid"], **CLOSE)
            if len(b) >= 4:
                assert dm.fid(a, b).value == pytest.approx(case["pytorch_fid"], **CLOSE)


def test_kid_is_that_of_torch_fidelity():
    file = golden.read("kid")
    found = dm.kid(np.array(file["real"]), np.array(file["fake"]), subsets=20, subset_size=30)
    assert found.value == pytest.approx(file["kid"], **SINGLE)
    assert found.sd == pytest.approx(file["sd"], **SINGLE)


def test_kid_at_its_defaults_is_that_of_torch_fidelity():
    case = min(golden.read("kid_defaults")["cases"], key=lambda case: case["d"])
    fake = golden.weyl(case["n_fake"], case["d"], case["shift"])
    found = dm.kid(golden.weyl(case["n_real"], case["d"], 0.0), fake)
    assert found.value == pytest.approx(case["kid"], **CLOSE)
    assert len(found.values) == 100


def test_inception_score_is_that_of_torch_fidelity():
    file = golden.read("inception_score")
    found = dm.inception_score(np.array(file["logits"]))
    assert found.value == pytest.approx(file["mean"], **CLOSE)
    assert found.sd == pytest.approx(file["sd"], **CLOSE)


def test_precision_recall_density_coverage_are_those_of_prdc():
    file = golden.read("prdc")
    found = dm.overlap(np.array(file["real"]), np.array(file["fake"]))
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(found, name) == pytest.approx(file["prdc"][name], **CLOSE), name


@pytest.mark.parametrize(("convention", "key"), [("adm", "grid_closed"), ("torch-fidelity", "grid_closed"), ("prdc", "grid_open")])
def test_points_on_the_rim_count_as_the_convention_says(convention, key):
    file = golden.read("prdc")
    found = dm.overlap(np.array(file["grid_real"]), np.array(file["grid_fake"]), convention=convention, k=3)
    assert found.precision == pytest.approx(file[key]["precision"], **CLOSE)
    assert found.recall == pytest.approx(file[key]["recall"], **CLOSE)


def test_rank_correlations_with_ties_are_those_of_scipy():
    file = golden.read("rank")
    assert dm.spearman(file["x"], file["y"]).value == pytest.approx(file["spearman"], **CLOSE)
    assert dm.kendall(file["x"], file["y"]).value == pytest.approx(file["kendall"], **CLOSE)


def test_sparsification_presets_are_their_definitions():
    file = golden.read("sparsification")
    error = np.array(file["error"])
    for case in file["cases"].values():
        uncertainty = np.array(case["uncertainty"])

        def run(preset, uncertainty=uncertainty):
            return dm.sparsification(error, uncertainty, pool="all", preset=preset)

        assert run("mono-uncertainty").ause == pytest.approx(case["mono"]["ause"], **CLOSE)
        assert run("mono-uncertainty").aurg == pytest.approx(case["mono"]["aurg"], **CLOSE)
        assert run("exact").ause == pytest.approx(case["exact"]["ause"], **CLOSE)
        assert run("exact").aurg == pytest.approx(case["exact"]["aurg"], **CLOSE)
        assert run("torch-uncertainty").ause == pytest.approx(case["torch_ause"], **CLOSE)


@pytest.mark.parametrize("convention", ["pytorch-fid", "torch-fidelity", "clean-fid"])
def test_the_network_is_fed_what_each_tool_feeds_it(convention):
    for case in golden.read("preprocess")["cases"]:
        image = np.array(case["image"], np.uint8)[None]
        ours = dm.preprocess(image, convention=convention)
        planes = dm.preprocess(image.transpose(0, 3, 1, 2), convention=convention, layout="nchw")
        assert np.array_equal(ours, planes)
        at = np.array(case["at"], int)
        theirs = np.array(case["values"][convention], np.float32)
        assert np.array_equal(ours[0, at[:, 0], at[:, 1], at[:, 2]], theirs)


def test_covariance_is_that_of_numpy():
    rows = golden.weyl(2500, 5, 0.0)
    moments = dm.Moments(5)
    for batch in np.array_split(rows, 3):
        moments.push(batch)
    mean, covariance = moments.statistics()
    assert mean == pytest.approx(rows.mean(0), rel=1e-13)
    assert covariance == pytest.approx(np.cov(rows, rowvar=False), rel=1e-9, abs=1e-15)
    assert np.array_equal(covariance, dm.Reference(rows).covariance)


def test_permutation_p_counts_exchanges_of_pairs():
    """All 32 exchanges of five pairs by the definition, against the share among 4000 that are drawn."""
    real, a = golden.weyl(9, 3, 0.1), golden.weyl(5, 3, 0.3)
    b = golden.weyl(5, 3, 0.0) ** 2

    def kid(x):
        return dm.mmd(x, real, kernel="cubic").value

    found = dm.compare_kid_paired(real, a, b, permutations=4000)
    assert found.delta == pytest.approx(kid(a) - kid(b), abs=1e-12)
    as_far = 0
    for signs in range(32):
        swap = ((signs >> np.arange(5)) & 1).astype(bool)[:, None]
        as_far += abs(kid(np.where(swap, b, a)) - kid(np.where(swap, a, b))) >= abs(found.delta) * (1 - 1e-12)
    share = as_far / 32
    assert abs(found.as_far / 4000 - share) < 4 * np.sqrt(share * (1 - share) / 4000) + 1e-12
    assert found.p == (1 + found.as_far) / 4001
