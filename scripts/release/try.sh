#!/usr/bin/env bash
# Installs wheels into empty environments of every Python that this machine has, and uses them as people would.
# usage: scripts/release/try.sh WHEELS-FOLDER     the digest that a checkout has for the smoke run: $DUBENCH_SMOKE_SHA256
# $TRY_PYTHONS: only these, as "3.12 3.13"; $TRY_CACHE: a cache folder in the place of an empty one
# The PATH of what is tried is the environment's own folder, and HOME is empty: no Rust, Node, compiler or checkout is found.
# Packages are installed by pip as it is set up here.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
wheels=$(cd "$1" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

pythons() { # every Python from 3.10 to 3.14, or of those that were asked for, once
  local minor candidate
  for minor in 10 11 12 13 14; do
    [[ " ${TRY_PYTHONS:-3.$minor} " == *" 3.$minor "* ]] || continue
    for candidate in "python3.$minor" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3."$minor".*/bin/python3; do
      if "$candidate" -c "import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, $minor))" 2>/dev/null; then
        echo "$candidate"
        continue 2
      fi
    done
    echo "SKIPPED Python 3.$minor: this machine has none with venv" >&2
  done
}

clean() { # environment folder command..: nothing of the caller but what pip needs for its registry
  local venv=$1 work=$2
  shift 2
  (cd "$work" && env -i HOME="$folder/home" PATH="$venv/bin" DUBENCH_CACHE="${TRY_CACHE:-$folder/cache}" \
    ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} ${PIP_CERT:+PIP_CERT="$PIP_CERT"} \
    ${PIP_CONFIG_FILE:+PIP_CONFIG_FILE="$PIP_CONFIG_FILE"} "${proxies[@]}" "$@")
}

try_metrics() { # environment
  "$1/bin/pip" install --quiet --disable-pip-version-check pytest "$wheels"/dubench_metrics-*.whl
  "$1/bin/python" -m pytest -p no:cacheprovider "$here/../../python/tests" | tail -n 1
}

try_binary() { # environment
  local work=$folder/empty seconds=$SECONDS digest
  "$1/bin/pip" install --quiet --disable-pip-version-check "$wheels"/dubench-[0-9]*.whl
  rm -rf "$work"
  mkdir -p "$work" "$folder/home"
  clean "$1" "$work" dubench --version
  clean "$1" "$work" dubench --quiet --format json run table1-cifar10 --scale smoke >"$folder/answer"
  digest=$(sed -n 's/.*"metrics_sha256":"\([0-9a-f]*\)".*/\1/p' "$folder/answer")
  [[ -s $work/results/table1-cifar10/smoke/table.md && -n $digest ]]
  if [[ -n ${DUBENCH_SMOKE_SHA256:-} && $digest != "$DUBENCH_SMOKE_SHA256" ]]; then
    echo "try: metrics have the digest $digest, those of a checkout $DUBENCH_SMOKE_SHA256" >&2
    return 1
  fi
  echo "try: smoke table after $((SECONDS - seconds)) s, metrics $digest"
  clean "$1" "$work" dubench doctor
}

offered() { # environment wheel platform: what pip says where only wheels of that platform may be installed
  "$1/bin/pip" install --quiet --disable-pip-version-check --dry-run --no-deps --no-index --only-binary=:all: \
    --target "$folder/offered" --platform "$3" "$2" 2>&1
}

try_tags() { # environment wheel: pip takes it where it was made for, and refuses it under an older glibc and another processor
  local wheel=$2 platform other said
  platform=$(basename "${wheel%.whl}")
  platform=${platform##*-}
  [[ $platform == manylinux_* ]] || return 0
  said=$(offered "$1" "$wheel" "$platform") || { echo "try: $platform refuses $(basename "$wheel"): $said" >&2; return 1; }
  for other in "manylinux_2_17_${platform#manylinux_*_*_}" "${platform%_"$(uname -m)"}_s390x"; do
    if said=$(offered "$1" "$wheel" "$other") || [[ $said != *"not a supported wheel on this platform"* ]]; then
      echo "try: $other does not refuse $(basename "$wheel"): $said" >&2
      return 1
    fi
  done
  echo "try: $(basename "$wheel") is for $platform, and refused under an older glibc and another processor"
}

proxies=()
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY SSL_CERT_FILE PIP_FIND_LINKS; do
  [[ -n ${!name:-} ]] && proxies+=("$name=${!name}")
done

found=0
for python in $(pythons); do
  echo "try: $("$python" --version)"
  "$python" -m venv "$folder/venv-$found"
  for wheel in "$wheels"/*.whl; do try_tags "$folder/venv-$found" "$wheel"; done
  if compgen -G "$wheels/dubench_metrics-*.whl" >/dev/null; then try_metrics "$folder/venv-$found"; fi
  if compgen -G "$wheels/dubench-[0-9]*.whl" >/dev/null; then try_binary "$folder/venv-$found"; fi
  rm -rf "$folder/venv-$found"
  found=$((found + 1))
done
((found > 0)) || { echo "try: this machine has no Python from 3.10 to 3.14" >&2; exit 7; }
echo "try: $found Pythons"
