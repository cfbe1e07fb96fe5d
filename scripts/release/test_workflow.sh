#!/usr/bin/env bash
# Runs the steps of .github/workflows/release.yml in their order, up to the upload, as GitHub would: the first one in a clone
# whose changelog is that of a release, the others in this checkout, so that nothing is compiled twice, on one Python. Steps
# that use an action are not run; what actions hand on (the folder `dist`) lies where the next job looks for it. The last step,
# which writes to GitHub, is asked of a stand-in.
# usage: scripts/release/test_workflow.sh [PYTHON-VERSION]      default: the newest from 3.10 to 3.14 that this machine has
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/setup/environment.sh
source "$root/scripts/setup/environment.sh"
cd "$root"
status=0
pinned_venv release scripts/release/requirements.txt >/dev/null || status=$?
if ((status == 7)); then
  echo "SKIPPED both wheels: maturin could not be had; the line above says why"
  exit 0
elif ((status != 0)); then
  exit "$status"
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/steps" "$folder/bin"

"$root/scripts/setup/python.sh" - .github/workflows/release.yml "$folder/steps" <<'PYTHON'
import pathlib
import re
import sys

import yaml

text = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
workflow = yaml.safe_load(text)
at = 0
for job, about in workflow["jobs"].items():
    assert about["timeout-minutes"] <= 60 and "runs-on" in about, job
    for step in about["steps"]:
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w.-]+@[\w./-]+", step["uses"]), step["uses"]
            continue
        assert "${{" not in step["run"], f"{step['name']}: an expression that only GitHub can fill in"
        pathlib.Path(sys.argv[2], f"{at}-{job}.sh").write_text(step["run"], encoding="utf-8")
        at += 1
assert at == 5, f"{at} steps with `run`, expected 5"
# An upload needs a person, and may do nothing else than what it needs.
assert workflow["jobs"]["publish"]["environment"] == "release"
assert workflow["permissions"] == {"contents": "read"}
assert not re.search(r"secrets\.|password|api-token", text), "trusted publishing has no secret"
writers = [job for job, about in workflow["jobs"].items() if "write" in (about.get("permissions") or {}).values()]
assert writers == ["publish"], writers
PYTHON

# Notes what would be uploaded.
cat >"$folder/bin/gh" <<'GH'
#!/bin/sh
printf '%s\n' "$@" >"$GH_SAID"
GH
chmod +x "$folder/bin/gh"

version=$(sed -n '/^\[workspace.package\]/,/^version/s/^version = "\(.*\)"/\1/p' Cargo.toml)
export GITHUB_REF_NAME=v$version GH_SAID=$folder/said PATH=$folder/bin:$PATH
# The workflow links against an old glibc, which compiles everything again; here the steps are what is tested.
export RELEASE_OPTIONS="--profile dev"
export TRY_CACHE=${TRY_CACHE:-$folder/cache}
newest() {
  local minor
  for minor in 14 13 12 11 10; do
    if compgen -G "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$minor.*/bin/python3" >/dev/null || python3."$minor" -c '' 2>/dev/null; then
      echo "3.$minor"
      return
    fi
  done
}
TRY_PYTHONS=${1:-$(newest)}
export TRY_PYTHONS

git clone --quiet --no-hardlinks "$root" "$folder/clone"
# As RELEASING.md has it done before a tag.
sed -i "s/^## \[$version\] - unreleased$/## [$version] - $(date +%F)/" "$folder/clone/CHANGELOG.md"
for made in dist wheels; do
  [[ ! -e $made ]] || { echo "test_workflow: $root/$made is in the way: move it aside" >&2; exit 1; }
done
trap 'rm -rf "$folder" "$root/dist" "$root/wheels"' EXIT

for step in "$folder"/steps/*.sh; do
  echo "== $(basename "$step" .sh)"
  place=$root
  [[ $step == */0-build.sh ]] && place=$folder/clone
  (cd "$place" && bash --noprofile --norc -eo pipefail "$step")
done

echo "== a tag that is not the version stops it"
status=0
scripts/release/versions.py --tag v9.9.9 2>"$folder/refused" || status=$?
if ((status != 1)) || ! grep -q "v9.9.9" "$folder/refused"; then
  cat "$folder/refused"
  echo "test_workflow: ended with $status, expected 1"
  exit 1
fi

for word in '^--draft$' '\.whl$' 'SHA256SUMS$' '\.cdx\.json$'; do
  grep -q -- "$word" "$GH_SAID" || { cat "$GH_SAID"; echo "test_workflow: the release would lack $word"; exit 1; }
done
n=$(find wheels -name '*.whl' | wc -l)
((n == 2)) || { echo "test_workflow: $n wheels would go up, expected 2"; exit 1; }
echo "test_workflow: every step up to the upload passes, on Python $TRY_PYTHONS"
