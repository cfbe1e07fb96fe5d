# Sourced by scripts/setup.sh and scripts/just: the cache folder, and virtual environments pinned by hash inside it.
# Every failure is one line with a remedy and a documented exit code (7: a tool, the network or the disk is missing).

fail() { # exit-code message
  echo "setup: $2" >&2
  exit "$1"
}

cache_root() {
  if [[ -n ${DUBENCH_CACHE:-} ]]; then
    case $DUBENCH_CACHE in /*) echo "$DUBENCH_CACHE" ;; *) echo "$PWD/$DUBENCH_CACHE" ;; esac
  elif [[ $(uname -s) == Darwin ]]; then
    echo "$HOME/Library/Caches/dubench"
  else
    case ${XDG_CACHE_HOME:-} in /*) echo "$XDG_CACHE_HOME/dubench" ;; *) echo "$HOME/.cache/dubench" ;; esac
  fi
}

hash_of() { # file
  if command -v sha256sum >/dev/null; then sha256sum <"$1" | cut -c1-16; else shasum -a 256 <"$1" | cut -c1-16; fi
}

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.10; do
    [[ -n $candidate ]] && command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo "$candidate" && return
  done
  fail 7 "no Python 3.10 or newer was found: install python3 or set PYTHON to its path"
}

pinned_venv() { # name requirements-file; prints the folder, building it on the first call
  local root venv python log
  root=$(cache_root)
  venv=$root/venv-$1-$(hash_of "$2")
  if [[ ! -e $venv/.complete ]]; then
    python=$(find_python) || exit
    mkdir -p "$root" 2>/dev/null || fail 7 "$root cannot be created: point DUBENCH_CACHE at a folder that you may write to"
    log=$(mktemp "$root/.venv-$1.XXXXXX") || fail 7 "$root is not writable or full: point DUBENCH_CACHE at another folder"
    echo "setup: preparing the Python environment $venv" >&2
    build_venv "$python" "$venv" "$2" >"$log" 2>&1 || explain "$log" "$2" "$venv"
    rm -f "$log"
  fi
  echo "$venv"
}

# A venv knows its own path, so it is built in place, under a lock, and counts once `.complete` stands in it.
# Why Python for the lock? flock(1) is not on every machine; the lock belongs to descriptor 9, which outlives the call.
build_venv() { # python venv requirements-file
  exec 9>"$2.lock" &&
    "$1" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)' || return 1
  [[ -e $2/.complete ]] && return 0
  rm -rf "$2" &&
    "$1" -m venv "$2" &&
    "$2/bin/python3" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --only-binary=:all: \
      --require-hashes -r "$3" </dev/null &&
    touch "$2/.complete"
}

explain() { # log requirements-file venv; removes what is broken and turns the failure of build_venv into one line
  local root reason free_kib
  root=$(dirname "$1")
  free_kib=$(df -Pk "$root" | awk 'NR == 2 { print $4 }')
  reason=$(grep -iE 'error|no space|not available' "$1" | tail -n 1 | cut -c1-200) || true
  grep -q 'DO NOT MATCH THE HASHES' "$1" && reason=hash
  grep -q 'ensurepip' "$1" && reason=ensurepip
  ((free_kib > 20480)) || reason="no space"
  rm -rf "$1" "$3"
  case $reason in
    hash) fail 5 "a package of $2 has another hash than pinned: check for a proxy that rewrites downloads" ;;
    ensurepip) fail 7 "this Python has no working venv module: install it (on Debian: apt-get install python3-venv)" ;;
    *[Nn]o\ space*) fail 7 "no space left on the disk of $root: free some, or point DUBENCH_CACHE at a larger disk" ;;
  esac
  fail 7 "the Python environment could not be built (${reason:-no reason given}): check the network and run again"
}
