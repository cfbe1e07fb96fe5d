#!/usr/bin/env bash
# Runs the steps of dubench-gate.yml in their order, in a repository that is made as README.md says, on a network of a few
# hundred bytes: they pass on what the baseline was made of, and fail with the code of a gate after a change of the model.
# Steps that use an action (checkout, cache, upload) are not run: `.dubench` is this checkout.
# usage: scripts/ci/test_workflow.sh target/debug/dubench
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Where cargo's folder is elsewhere, so is the binary that the step `Build` makes.
DUBENCH=$(realpath "$1")
export DUBENCH SCALE=smoke

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
ln -s "$root" .dubench
mkdir -p gate/model steps

echo "== a repository with a model, its experiments and its baseline"
cp .dubench/harness/tests/data/tiny/quarter.onnx gate/model/denoiser.onnx
"$DUBENCH" --quiet model init gate/model >/dev/null
cp .dubench/scripts/ci/example/*.yaml gate/
"$root/scripts/setup/python.sh" - <<'PYTHON'
import numpy

images = numpy.random.default_rng(0).integers(0, 256, (64, 4, 4, 3), dtype=numpy.uint8)
numpy.savez("gate/images.npz", arr_0=images)
PYTHON
"$DUBENCH" --quiet stats gate/images.npz --extractor .dubench/experiments/extractors/fid-inception.yaml -o gate/reference.npz >/dev/null
.dubench/scripts/ci/baseline.sh >/dev/null 2>&1

"$root/scripts/setup/python.sh" - .dubench/scripts/ci/dubench-gate.yml steps <<'PYTHON'
import pathlib
import sys

import yaml

workflow = yaml.safe_load(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
steps = [step for step in workflow["jobs"]["gate"]["steps"] if "run" in step]
assert len(steps) == 4, f"{len(steps)} steps with `run`, expected 4"
for at, step in enumerate(steps):
    assert "${{" not in step["run"], f"{step['name']}: an expression that only GitHub can fill in"
    pathlib.Path(sys.argv[2], f"{at}.sh").write_text(step["run"], encoding="utf-8")
PYTHON

# As GitHub runs a step whose shell is bash.
steps() {
  local script
  for script in steps/*.sh; do
    bash --noprofile --norc -eo pipefail "$script" || return
  done
}

echo "== the steps, on what the baseline was made of"
rm -rf results work
steps

echo "== the steps, after a change of the model"
sed -i 's/^prediction: epsilon/prediction: x0/' gate/model/model.yaml
status=0
steps >moved.txt 2>&1 || status=$?
grep -E 'numbers moved|lies (above|below) the band' moved.txt | sed -n 1,4p
if ((status != 6)); then
  tail -n 20 moved.txt
  echo "test_workflow: a changed model ended with $status, expected 6"
  exit 1
fi
for metric in fid ause; do
  grep -q "/ $metric[ :].* the band" moved.txt || { echo "test_workflow: $metric did not move"; exit 1; }
done

echo "== a baseline without these metrics is refused, not passed"
status=0
"$DUBENCH" check gate/baseline/fid results/fid/smoke --metric ause 2>refused.txt || status=$?
if ((status != 2)) || ! grep -q 'one that the baseline has' refused.txt; then
  cat refused.txt
  echo "test_workflow: ended with $status, expected 2"
  exit 1
fi
echo "test_workflow: four steps pass, and stop a change"
