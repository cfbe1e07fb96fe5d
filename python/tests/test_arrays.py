"""What Python hands over: read where it lies, or refused with a reason."""

import threading
import time
import tracemalloc

import numpy as np
import pytest

import dubench_metrics as dm

RNG = np.random.default_rng(0)
REAL, FAKE = RNG.normal(size=(300, 8)), RNG.normal(0.2, 1.0, size=(200, 8))


class Shares:
    """An array behind DLPack, as other packages hold theirs."""

    def __init__(self, array, device=(1, 0)):
        self.array, self.device = array, device

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device


class Converts:
    """An array behind `__array__`."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


class Frame(Converts):
    """A table as pandas has it: `mask` is a method, and no mask."""

    def mask(self, cond):
        raise AssertionError("nobody asks for it")


def strided(rows):
    wide = np.zeros((2 * len(rows), 3 * rows.shape[1]), rows.dtype)
    wide[::2, ::3] = rows
    return wide[::2, ::3]


@pytest.mark.parametrize(
    "wrap",
    [Shares, Converts, Frame, strided, np.asfortranarray, lambda x: x[::-1].copy()[::-1], lambda x: x.view(np.ndarray)],
    ids=["dlpack", "__array__", "table", "strided", "fortran", "reversed", "view"],
)
def test_every_layout_of_an_array_gives_the_same_bits(wrap):
    expected = dm.fid(REAL, FAKE)
    found = dm.fid(wrap(REAL), wrap(FAKE))
    assert (found.value, found.se, found.bias) == (expected.value, expected.se, expected.bias)
    assert dm.kid(wrap(REAL), wrap(FAKE), subset_size=50).value == dm.kid(REAL, FAKE, subset_size=50).value
    assert dm.overlap(wrap(REAL), wrap(FAKE)).density == dm.overlap(REAL, FAKE).density


def test_lists_and_read_only_arrays_are_read():
    frozen = FAKE.copy()
    frozen.flags.writeable = False
    assert dm.fid(REAL.tolist(), frozen).value == dm.fid(REAL, FAKE).value


def test_pytorch_tensors_share_their_memory():
    torch = pytest.importorskip("torch", reason="SKIPPED: PyTorch is not installed here")
    assert dm.fid(torch.from_numpy(REAL), torch.from_numpy(FAKE)).value == dm.fid(REAL, FAKE).value
    with pytest.raises(ValueError, match="fake is no array: .*grad"):
        dm.fid(REAL, torch.from_numpy(FAKE).requires_grad_())


def test_single_precision_is_read_as_it_is():
    found = dm.fid(REAL.astype(np.float32), FAKE.astype(np.float32))
    wide = dm.fid(REAL.astype(np.float32).astype(float), FAKE.astype(np.float32).astype(float))
    assert found.value == wide.value


BROKEN = FAKE.copy()
BROKEN[7, 3] = np.nan
MISALIGNED = np.frombuffer(b"\0" + FAKE.tobytes(), np.uint8)[1:].view(np.float64).reshape(FAKE.shape)


@pytest.mark.parametrize(
    ("fake", "words"),
    [
        (FAKE[0], r"fake has shape \[8\], expected 2 axes \[n, d\], one row an image: reshape it"),
        (FAKE[None], r"fake has shape \[1, 200, 8\], expected 2 axes"),
        (FAKE.astype(np.float16), r"fake has dtype float16, expected float32 or float64: give fake.astype\('float32'\)"),
        (FAKE.astype(int), "fake has dtype int64"),
        (FAKE.astype(complex), "fake has dtype complex128"),
        (FAKE.astype(">f8"), "fake has dtype >f8"),
        (FAKE.astype(object), "fake has dtype object"),
        ("a.npy", r"fake is 'a.npy' \(str\), expected an array of numbers"),
        (None, r"fake is None \(NoneType\), expected an array of numbers"),
        ({"a": FAKE}, r"fake is {'a': array.* \(dict\), expected an array of numbers"),
        (3.0, r"fake has shape \[\], expected 2 axes"),
        (np.ma.masked_invalid(BROKEN), "fake is a masked array"),
        (MISALIGNED, r"fake is not aligned in memory: give fake.copy\(\)"),
        (Shares(FAKE, (2, 1)), r"fake lies on the DLPack device \(2, 1\), expected the CPU"),
        (BROKEN, "fake holds NaN at row 7, column 3: remove or recompute that row"),
        (np.where(np.isnan(BROKEN), -np.inf, BROKEN), "fake holds -inf at row 7, column 3"),
        (FAKE[:, :5], "the features of the sample has length 5, expected 8"),
        (FAKE[:3], "the sample of an error bar has 3 samples, at least 4 are needed: give more samples"),
        (FAKE[:0], "has 0 samples"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(fake, words):
    with pytest.raises(ValueError, match=words):
        dm.fid(REAL, fake)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: dm.fid(BROKEN, FAKE), "real holds NaN at row 7, column 3: remove or recompute that row"),
        (lambda: dm.Reference(REAL).distance(BROKEN), "fake holds NaN at row 7, column 3"),
        (lambda: dm.filter_study(REAL, BROKEN, FAKE[:, 0], keep=150), "pool holds NaN at row 7, column 3"),
        (lambda: dm.kid(BROKEN, FAKE, subset_size=50), "the real set holds NaN at row 7, column 3"),
        (lambda: dm.fid(REAL, FAKE, splits=0), "the number of splits is 0, expected at least 1"),
        (lambda: dm.kid(REAL, FAKE), "the fake set .for one KID subset. has 200 samples, at least 1000"),
        (lambda: dm.mmd(REAL, FAKE, kernel="linear"), "kernel is 'linear', expected 'rbf' or 'cubic'"),
        (lambda: dm.mmd(REAL, FAKE, sigma=0.0), "sigma of the kernel is 0, expected above 0"),
        (lambda: dm.overlap(REAL, FAKE, convention="mine"), "convention is 'mine'"),
        (lambda: dm.overlap(REAL, FAKE, k=0), "k of the nearest neighbour is 0"),
        (lambda: dm.holm([0.1, 1.5]), "a p-value is 1.5, expected 0 to 1"),
        (lambda: dm.spearman([1, 2, 3], [1, 2]), "has length 2, expected 3"),
        (lambda: dm.spearman([1, 2, 3], ["a", "b", "c"]), "y has dtype <U1, expected float or integer numbers"),
        (lambda: dm.filter_study(REAL, FAKE, FAKE[:5, 0], keep=150), "scores"),
        (lambda: dm.filter_study(REAL, FAKE, FAKE[:, 0], keep=200), "the number of images to keep is 200"),
        (lambda: dm.kid_of_subsets(REAL, FAKE, [[1, -2]]), "a set holds -2, expected 0 or more"),
        (lambda: dm.sparsification(REAL, REAL[:, :4]), "length"),
        (lambda: dm.sparsification(BROKEN, FAKE), "NaN"),
        (lambda: dm.preprocess(np.zeros((1, 8, 8, 4), np.uint8)), "3"),
        (lambda: dm.preprocess(np.zeros((1, 8, 8, 3))), "images has dtype float64, expected uint8"),
        (lambda: dm.Reference.from_statistics(np.zeros(2), np.array([[1.0, 2.0], [2.0, 1.0]])), "is not positive semidefinite"),
        (lambda: dm.Moments(3).push(FAKE), "has length 8, expected 3"),
        (lambda: dm.fid(REAL, FAKE).interval(1.0), "the confidence level is 1"),
    ],
)
def test_settings_and_shapes_that_mean_nothing_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_ten_thousand_rows_of_features_are_not_copied():
    """NumPy tells tracemalloc of every array it makes; ours are made beside it, so the process is measured too."""
    features = np.ones((10_000, 2048), np.float32)
    real = Shares(features)
    before = resident_kib()
    tracemalloc.start()
    with pytest.raises(ValueError, match="subsets of KID"):
        dm.kid(real, features, subsets=0)
    with pytest.raises(ValueError, match="subsets of KID"):
        dm.kid(features.T, features.T[::-1], subsets=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000, f"{peak} bytes for two views of {features.nbytes}"
    assert resident_kib() - before < 8_000


def resident_kib() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_a_call_costs_less_than_a_hundredth_of_its_work():
    """The door alone, by a call that is refused once both arrays are open, beside a call that reads them."""
    features = RNG.normal(size=(10_000, 2048)).astype(np.float32)
    start = time.perf_counter()
    for _ in range(100):
        with pytest.raises(ValueError, match="subsets of KID"):
            dm.kid(features, features, subsets=0)
    door = (time.perf_counter() - start) / 100
    start = time.perf_counter()
    dm.Moments(2048).push(features)  # the cheapest thing that reads every number once
    work = time.perf_counter() - start
    print(f"door {door * 1e6:.0f} us, moments of 10,000 x 2048 {work:.2f} s: {door / work:.1e}")
    assert door < 0.01 * work


def test_other_threads_go_on_while_numbers_are_computed():
    rows = RNG.normal(size=(6000, 256))
    ticks, done = 0, threading.Event()

    def tick():
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    dm.overlap(rows, rows[::-1])
    seconds = time.perf_counter() - start
    done.set()
    thread.join()
    # With the lock held it would be one tick; a loaded machine wakes a sleeper late.
    assert ticks > 5, f"{ticks} ticks in {seconds:.2f} s"
