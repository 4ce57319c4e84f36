#!/bin/sh
# Install the system packages that are missing: headless OpenGL (EGL), and venv where Debian packs it apart from python3.
set -eu
python=${1:-python3}
missing=""
command -v "$python" >/dev/null || { echo "no $python here; synth needs Python 3.11 or later: apt-get install python3" >&2; exit 2; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "synth needs Python 3.11 or later, $python is older; name another: make demo PYTHON=python3.12" >&2
    exit 2
}
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
has() { ldconfig -p 2>/dev/null | grep -q "$1" || "$python" -c "import ctypes; ctypes.CDLL('$1')" 2>/dev/null; }
has libEGL.so.1 || missing="$missing libegl1"
has libGL.so.1 || missing="$missing libgl1"
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null; then
    echo "synth needs the system packages (Debian's names):$missing; without OpenGL, renderer=flat works" >&2
    exit 0
fi
sudo=""
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
        echo "missing system packages; run as root: apt-get update && apt-get install -y --no-install-recommends$missing" >&2
        exit 2
    }
    sudo=sudo
fi
echo "installing$missing"
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
