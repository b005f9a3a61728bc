#!/usr/bin/env bash
# Runs the fast tests on another Debian's Python, in a chroot that is thrown away: by default Debian 13's Python 3.13.
#
#   tools/test_in_chroot.sh [PYTEST ARGUMENTS]      SUITE=trixie PYTHON_VERSION=3.13 name another one
#
# Debian comes from the mirror that apt uses here, wheels from where pip gets them here; nothing is fetched inside. Needs root.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
suite=${SUITE:-trixie}
version=${PYTHON_VERSION:-3.13}

fail() {
  printf 'test_in_chroot: %s\n' "$@" >&2
  exit 1
}

[ "$(id -u)" = 0 ] || fail "a chroot needs root." "Run: sudo tools/test_in_chroot.sh"
command -v apt-get >/dev/null || fail "there is no apt here, whose mirror would be used." "Run it on Debian or Ubuntu."
command -v debootstrap >/dev/null || apt-get install -y -q --no-install-recommends debootstrap >/dev/null ||
  fail "debootstrap cannot be installed." "Run: apt-get update && apt-get install -y debootstrap"
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' 'Origin: Debian' | sed -n 1p)
[ -n "$mirror" ] || fail "apt knows no mirror of Debian." "Look at /etc/apt/sources.list.d."

root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT
debootstrap --variant=minbase --include="python$version,python$version-venv" "$suite" "$root" "$mirror" >"$root.log" 2>&1 || {
  tail -n 15 "$root.log" >&2
  fail "debootstrap failed (above are its last lines)."
}
rm -f "$root.log"

# Wheels alone: what has none for this Python is named by pip here, and not built by a compiler there.
.venv/bin/python -m pip wheel -q --no-deps --wheel-dir "$root/wheels" .
.venv/bin/python -m pip download -q --only-binary :all: --python-version "$version" --dest "$root/wheels" \
  --find-links "$root/wheels" connectfleet --group pyproject.toml:test
mkdir "$root/src"
tar --exclude=./.venv --exclude=./.git --exclude=./runs -cf - . | tar -xf - -C "$root/src"

# Mounts in a namespace of their own are gone with the last process in it, however that ends.
# The checkout comes before the installed wheel, which is there for its entry points and its requirements.
unshare --mount --pid --fork bash -c '
  set -euo pipefail
  mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev"
  exec chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 PYTHONPATH=/src bash -c '\''
    set -euo pipefail
    version=$1; shift
    cd /src
    "python$version" -m venv /venv
    /venv/bin/python -m pip install -q --no-index --find-links /wheels --upgrade connectfleet $(cd /wheels && printf "/wheels/%s " *.whl)
    /venv/bin/python --version
    exec /venv/bin/python -m pytest -n auto --dist worksteal -m "not live" "$@"
  '\'' bash "${@:2}"
' bash "$root" "$version" "$@"
