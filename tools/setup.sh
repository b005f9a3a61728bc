#!/usr/bin/env bash
# Prepares this checkout: a virtual environment in .venv with the project installed, and a Mosquitto if asked for.
#
#   tools/setup.sh                 what `fleet` needs to run
#   tools/setup.sh dev             … and what the tests and checks need
#   tools/setup.sh broker          … and a Mosquitto, if there is none (words can be combined)
#   tools/setup.sh some-broker     … and a Mosquitto, if there is none and this user may install it: fleet has a broker of its own
#
# Running it again does nothing until pyproject.toml or this file changes. PYTHON=/path/to/python chooses an interpreter.
# Run on Debian and Ubuntu; the macOS and Fedora branches are written with care, but were not run.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
here=$PWD

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

with_dev=no
with_broker=no
with_some_broker=no
for word in "$@"; do
  case $word in
    dev) with_dev=yes ;;
    broker) with_broker=yes ;;
    some-broker) with_some_broker=yes ;;
    *) fail "unknown word '$word'" "Use: tools/setup.sh [dev] [broker] [some-broker]" ;;
  esac
done

# --- system packages -------------------------------------------------------------------------------------------------

# Prints how this user can install system packages ("", "sudo -n"); fails when not at all.
rights() {
  if [ "$(id -u)" = 0 ]; then
    echo ""
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    echo "sudo -n"
  else
    return 1
  fi
}

# apt_install PACKAGE WHY: installs, or says which command the user must run.
apt_install() {
  local package=$1 why=$2 prefix
  if ! prefix=$(rights); then
    fail "$why, and this user may not install packages." "Run this, then try again:" "  sudo apt-get update && sudo apt-get install -y $package"
  fi
  say "$why: installing it with '${prefix:+sudo }apt-get install -y $package'"
  # Package lists may be missing or old: only then is the slow update needed. $prefix is empty or two words.
  # shellcheck disable=SC2086
  if ! $prefix env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$package" </dev/null >"$log" 2>&1 9<&-; then
    $prefix env DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null >"$log" 2>&1 9<&- || true
    $prefix env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$package" </dev/null >>"$log" 2>&1 9<&- || {
      tail -n 15 "$log" >&2
      fail "apt-get could not install $package (above are its last lines)."
    }
  fi
}

# --- Python ----------------------------------------------------------------------------------------------------------

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
has_venv() { "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; }

# Prints the first interpreter that will do; one that can make environments comes before one that cannot.
find_python() {
  local candidate second=""
  for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3; do
    if ! command -v "$candidate" >/dev/null || ! is_new_enough "$candidate"; then continue; fi
    if has_venv "$candidate"; then
      echo "$candidate"
      return 0
    fi
    second=${second:-$candidate}
  done
  [ -n "$second" ] && echo "$second"
}

no_python() {
  fail "there is no Python 3.11 or newer here (tried ${PYTHON:+$PYTHON, }python3.13, python3.12, python3.11, python3)." \
    "Debian 12 or Ubuntu 24.04 and newer:  sudo apt-get install -y python3 python3-venv" \
    "macOS:                                brew install python@3.13" \
    "Or name one:                          PYTHON=/path/to/python3.11 make demo"
}

make_environment() {
  local python version
  python=$(find_python) || no_python
  if ! has_venv "$python"; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    command -v apt-get >/dev/null || fail "$python cannot make virtual environments: its modules venv and ensurepip are missing." \
      "Install them with your system's packages, or name another one: PYTHON=/path/to/python3.11"
    # The package of this very version: python3-venv belongs to the system's default one.
    apt_install "python$version-venv" "Python $version is here without its venv module"
    has_venv "$python" || fail "$python still has no venv module." "Name another one: PYTHON=/path/to/python3.11"
  fi
  say "making .venv with $("$python" --version 2>&1)"
  if [ -L .venv ]; then fail ".venv is a link to $(readlink .venv), and what is there would be wiped." "Remove the link, then try again."; fi
  "$python" -m venv --clear .venv
}

# --- the environment -------------------------------------------------------------------------------------------------

# A stamp holds what it was made from: this folder (environments cannot be moved), the requirements and this script.
fingerprint() {
  printf '%s\n' "$here"
  cat pyproject.toml tools/setup.sh | cksum
}

is_current() { [ -x .venv/bin/python ] && [ -f ".venv/$1.stamp" ] && [ "$(cat ".venv/$1.stamp")" = "$(fingerprint)" ]; }

was_moved() {
  local stamp
  for stamp in .venv/run.stamp .venv/dev.stamp; do
    if [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" != "$here" ]; then return 0; fi
  done
  return 1
}

pip_install() {
  # The log shows only when something goes wrong; a user-wide `pip --user` setting must not lead out of .venv.
  PIP_USER=no .venv/bin/python -m pip install --disable-pip-version-check -q "$@" </dev/null >"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    fail "pip could not install what is needed (above are its last lines)." "Is there a network, or a package index that pip knows?"
  }
}

install_project() {
  if was_moved || ! { is_new_enough .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1; }; then
    make_environment
  fi
  rm -f .venv/run.stamp .venv/dev.stamp
  pip_install --upgrade 'pip>=25.1' # the first that knows --group
  if [ "$with_dev" = yes ]; then
    say "installing the project, and what its tests and checks need"
    pip_install --editable . --group dev
    fingerprint >.venv/dev.stamp
  else
    say "installing the project"
    pip_install --editable .
  fi
  fingerprint >.venv/run.stamp
}

# --- Mosquitto -------------------------------------------------------------------------------------------------------

find_mosquitto() {
  local folder
  command -v mosquitto && return 0
  for folder in /usr/sbin /usr/local/sbin /opt/homebrew/sbin; do
    if [ -x "$folder/mosquitto" ]; then
      echo "$folder/mosquitto"
      return 0
    fi
  done
  return 1
}

install_mosquitto() {
  local why="there is no Mosquitto (the MQTT broker) on this machine" prefix
  if command -v apt-get >/dev/null; then
    apt_install mosquitto "$why"
    say "Debian's package also starts a service of its own on port 1883. fleet does not use it: it runs private brokers."
    say "If you do not want that service: sudo systemctl disable --now mosquitto"
  elif command -v dnf >/dev/null; then
    prefix=$(rights) || fail "$why, and this user may not install packages." "Run this, then try again:" "  sudo dnf install -y mosquitto"
    say "$why: installing it with '${prefix:+sudo }dnf install -y mosquitto'"
    # shellcheck disable=SC2086 # empty or two words
    $prefix dnf install -y -q mosquitto </dev/null 9<&- || fail "dnf could not install mosquitto."
  elif command -v brew >/dev/null; then
    say "$why: installing it with 'brew install mosquitto'"
    brew install --quiet mosquitto </dev/null 9<&- || fail "brew could not install mosquitto."
  else
    fail "$why, and no package manager that this script knows." "Install Mosquitto 2.0 or newer, so that 'mosquitto' is on the PATH."
  fi
  find_mosquitto >/dev/null || fail "Mosquitto was installed, but is in none of the usual places." "Put its folder on the PATH."
}

can_install_mosquitto() {
  if command -v apt-get >/dev/null || command -v dnf >/dev/null; then rights >/dev/null; else command -v brew >/dev/null; fi
}

# --- main ------------------------------------------------------------------------------------------------------------

wanted=run
[ "$with_dev" = yes ] && wanted=dev
needs_broker=no
if [ "$with_broker" = yes ] && ! find_mosquitto >/dev/null; then needs_broker=yes; fi
if [ "$with_some_broker" = yes ] && [ "$needs_broker" = no ] && ! find_mosquitto >/dev/null; then
  if can_install_mosquitto; then
    needs_broker=if-possible
  else
    say "there is no Mosquitto, and this user may not install one: fleet takes its embedded broker"
  fi
fi
if is_current "$wanted" && [ "$needs_broker" = no ]; then exit 0; fi

# Two set-ups at once (make demo and make test in two terminals) would tear the environment apart.
# What installs packages closes the lock (9<&-), because a service that it starts would hold it for ever.
exec 9<pyproject.toml
if command -v flock >/dev/null; then flock 9; fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
is_current "$wanted" || install_project
if [ "$needs_broker" != no ] && ! find_mosquitto >/dev/null; then
  if [ "$needs_broker" = yes ]; then
    install_mosquitto
  else
    (install_mosquitto) || say "without a Mosquitto fleet takes its embedded broker"
  fi
fi
say "ready"
