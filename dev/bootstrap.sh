#!/bin/sh
# Makes .venv from uv.lock, and uv itself where it is missing. Quiet and quick when nothing has changed.
# `bootstrap.sh demo` makes one that is enough for `make up`, `make demo` and `make down`, in a tenth of the time.
# Touches nothing outside the clone and the cache folder: no system package, no pip of the user's own Python.
set -eu
cd "$(dirname "$0")/.."

stamp=.venv/.made-from
group=${1:-dev}
files=$(cat uv.lock pyproject.toml | cksum)
if [ -x .venv/bin/python ] && [ -f "$stamp" ]; then
    case $(cat "$stamp") in
        "dev $files" | "$group $files") exit 0 ;; # what tests need is enough for the demo, too
        "dev "*) group=dev ;; # nobody who runs tests wants to lose torch to a demo
    esac
fi

find_uv() {
    # `uv --version` rather than `command -v`: a shim may be on PATH with nothing behind it.
    for candidate in uv "$HOME/.local/bin/uv" "$HOME/.cargo/bin/uv" "$private/bin/uv"; do
        if "$candidate" --version >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
}

private=${XDG_CACHE_HOME:-$HOME/.cache}/anomaly-operator/uv
uv=$(find_uv)
if [ -z "$uv" ]; then
    echo "... installing uv (https://docs.astral.sh/uv) for this project alone"
    if ! command -v python3 >/dev/null 2>&1; then
        echo "python3 is missing: install Python 3.11 or newer, or uv, and run the command again" >&2
        exit 1
    fi
    if ! python3 -m venv "$private"; then
        echo "python3 cannot make virtual environments: install its venv package (Debian: apt-get install python3-venv)" >&2
        exit 1
    fi
    "$private/bin/pip" install --quiet --disable-pip-version-check uv
    uv=$private/bin/uv
fi

echo "... installing the Python packages of uv.lock into .venv"
"$uv" sync --frozen --quiet --no-default-groups --group "$group"
echo "$group $files" >"$stamp"
echo "ok  Python packages are there"
