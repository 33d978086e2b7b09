#!/bin/sh
# Installs what workers need into an environment, without any index:
#
#     sh install.sh [PYTHON]
#
# PYTHON is its interpreter, with pip; the first `python` on the path when left out. Made by
# `klio image build`; the Dockerfile beside it runs it, and so can whoever has no container.
set -eu

python=${1:-python}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

# Isolated: settings of pip on this machine count for nothing. The list is complete, so nothing is
# resolved, and what a base image has in other versions is replaced by what the project was tested
# with.
"$python" -m pip --isolated --disable-pip-version-check install --quiet --no-cache-dir \
    --no-index --find-links "$here/wheels" --no-deps --no-compile --root-user-action ignore \
    --requirement "$here/requirements.txt"

# Some packages ship files for other Pythons, which do not compile and need not.
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" -m compileall -qq -j 0 "$site" >/dev/null 2>&1 || :

# Fills numba's cache (NUMBA_CACHE_DIR, NUMBA_CPU_NAME), and imports what workers will import.
"$python" -m klio_dagster.engine.warm_up "$here/imports.txt"

# Only told: what a base image brings beside is not ours to judge.
"$python" -m pip --isolated --disable-pip-version-check check || :
