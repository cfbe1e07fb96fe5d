"""The package as it is installed: examples, types, import, results, processes."""

import doctest
import inspect
import json
import multiprocessing
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dubench_metrics as dm

PACKAGE = Path(dm.__file__).parent
ROOT = Path(__file__).resolve().parents[1]
NAMES = [name for name in dm.__all__ if name != "__version__"]
FUNCTIONS = [name for name in NAMES if not inspect.isclass(getattr(dm, name))]


def documented(name):
    found = getattr(dm, name)
    members = [found]
    if inspect.isclass(found):
        members += [member for key, member in vars(found).items() if not key.startswith("_")]
    return members


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_documented(name):
    for member in documented(name):
        text = inspect.getdoc(member)
        assert text, f"{name}: {member}"
        assert "\n--\n" not in text, f"{name}: help() shows the signature twice"
        assert not callable(member) or inspect.isclass(member) or inspect.signature(member)
    if name in FUNCTIONS:
        assert "Examples\n" in inspect.getdoc(getattr(dm, name))


def test_the_examples_of_the_docstrings_hold():
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    tried = 0
    for name in NAMES:
        for member in documented(name):
            text = inspect.cleandoc(inspect.getdoc(member) or "")
            tried += runner.run(parser.get_doctest(text, {}, name, None, 0)).attempted
    assert tried >= 3 * len(FUNCTIONS)
    assert runner.failures == 0


def test_the_example_of_the_readme_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    exec(compile(blocks[0], "README.md", "exec"), {})


def test_types_are_shipped_and_name_what_there_is():
    assert (PACKAGE / "py.typed").is_file()
    stub = (PACKAGE / "__init__.pyi").read_text()
    for name in NAMES:
        found = getattr(dm, name)
        if not inspect.isclass(found):
            parameters = [p for p in inspect.signature(found).parameters]
            declared = re.search(rf"^def {name}\((.*?)\) ->", stub, re.DOTALL | re.MULTILINE)
            assert declared, name
            in_stub = [p for p in re.findall(r"(\w+):", re.sub(r"\[[^\]]*\]|=[^,]*", "", declared[1]))]
            assert in_stub == parameters, name
            continue
        body = re.search(rf"^class {name}:\n((?:    .*\n)+)", stub, re.MULTILINE)
        assert body, name
        public = {key for key in vars(found) if not key.startswith("_")}
        assert set(re.findall(r"def ([a-z]\w*)\(", body[1])) == public, name


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert dm.__version__ == version("dubench-metrics")


def test_import_takes_less_than_a_fifth_of_a_second():
    """Of five, the quickest: a loaded machine adds to each. NumPy is imported by the first call that needs it."""
    code = "import time; s = time.perf_counter(); import dubench_metrics; print(time.perf_counter() - s)"
    seconds = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5)]
    print(f"import: {min(seconds):.3f} s")
    assert min(seconds) < 0.2, seconds


def test_results_are_readable_and_become_plain_data():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(200, 4)), rng.normal(size=(100, 4))
    found = dm.fid(real, fake)
    assert re.fullmatch(r"FidEstimate\(value=[\d.]+, se=[\d.]+, bias=[\d.]+, fid_inf=-?[\d.]+, n=100, dim=4\)", repr(found))
    assert float(found) == found.value == pytest.approx(found.fid_inf + found.bias)
    assert json.loads(json.dumps(found.to_dict()))["se"] == found.se
    assert "small_sample=True" in repr(dm.fid(real, fake[:15]))
    assert repr(dm.spearman([1, 2, 3, 4], [1, 2, 3, 4])).startswith("RankCorrelation(value=1, null_se=0.57735, ")
    assert found.influence.shape == (100,) and abs(found.influence.mean()) < 1e-9
    curve = dm.filter_study(real, fake, fake[:, 0], keep=80, permutations=2, curve=[50, 90]).curve
    assert [point[0] for point in curve] == [50, 90]


def in_child(rows):
    return dm.overlap(rows, rows[::2]).precision


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="SKIPPED: this system cannot fork")
def test_a_forked_process_computes_the_same():
    rows = np.random.default_rng(0).normal(size=(400, 8))
    expected = in_child(rows)  # the threads of this process are started
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(in_child, [rows, rows]).get(timeout=60) == [expected, expected]


def test_the_number_of_threads_changes_no_bit():
    code = (
        "import numpy as np, dubench_metrics as dm; r = np.random.default_rng(0).normal(size=(3000, 64));"
        "print(dm.fid(r, r[:1500] + 0.1).fid_inf.hex(), dm.overlap(r, r[:900] * 1.1).density.hex())"
    )
    answers = {
        subprocess.check_output([sys.executable, "-c", code], env=os.environ | {"RAYON_NUM_THREADS": threads})
        for threads in ("1", "3")
    }
    assert len(answers) == 1
