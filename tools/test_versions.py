"""The oldest and the newest Dagster, and other Pythons: `make test-versions`.

Each has an environment of its own under `.venv-versions/`, made once and used again until what it
is made from changes. Everything but Dagster has the versions of constraints.txt.
"""

import hashlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv-versions"
WHAT_DAGSTER_BREAKS = ("tests/ledger", "tests/defs", "tests/contract/test_import_diet.py")
SMOKE = ("tests/contract/test_public_names.py", "tests/core", "tests/engine/test_chain.py")
# 1.13.N of Dagster goes with 0.29.N of its libraries.
FAMILY = ("dagster", "dagster-dg-cli", "dagster-webserver")
LIBRARIES = ("dagster-gcp", "dagster-postgres")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A Python and a Dagster to test with.

    Args:
        name: its folder.
        python: `3.12`.
        dagster: requirements that replace constraints.txt for Dagster's packages; empty for none.
        freed: other packages whose constrained version this Dagster refuses.
        tests: what is run in it.
    """

    name: str
    python: str
    dagster: Sequence[str] = ()
    freed: Sequence[str] = ()
    tests: Sequence[str]


ENVIRONMENTS = (
    Environment(
        name="dagster-oldest",
        python="3.11",
        dagster=[*(f"{p}==1.13.0" for p in FAMILY), *(f"{p}==0.29.0" for p in LIBRARIES)],
        freed=["tomlkit"],
        tests=WHAT_DAGSTER_BREAKS,
    ),
    Environment(
        name="dagster-newest",
        python="3.11",
        dagster=[*(f"{p}<2" for p in FAMILY), *(f"{p}<1" for p in LIBRARIES)],
        tests=WHAT_DAGSTER_BREAKS,
    ),
    Environment(name="python-3.12", python="3.12", tests=SMOKE),
    Environment(name="python-3.13", python="3.13", tests=SMOKE),
)


def interpreter(version: str) -> str | None:
    """An interpreter of this version that starts: on the path, or one pyenv keeps aside."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    aside = sorted(str(path) for path in pyenv.glob(f"{version}.*/bin/python"))
    for candidate in (sys.executable, f"python{version}", *aside):
        asked = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        try:
            said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            continue  # a shim without an interpreter behind it
        if said == version:
            return candidate
    return None


def made(environment: Environment, python: str) -> Path:
    """The environment's interpreter; installs what is missing or has changed.

    Raises:
        CalledProcessError: pip could not install it; it has said why.
    """
    folder = FOLDER / environment.name
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if environment.dagster:
        freed = ("dagster", *environment.freed)
        lines = [line for line in lines if not line.lower().startswith(freed)]
    wanted = "\n".join([*lines, *environment.dagster]) + "\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    digest = hashlib.sha256(f"{wanted}{project}".encode()).hexdigest()[:16]
    stamp = folder / f"made-{digest}"
    inside = folder / "bin" / "python"
    if stamp.exists():
        return inside
    print(f"{environment.name}: installing (some minutes, once)", flush=True)
    subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
    constraints = folder / "constraints.txt"
    constraints.write_text(wanted, encoding="utf-8")
    pip = [str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--prefer-binary", "-c", str(constraints)]
    subprocess.run([*pip, "-e", ".[dev]"], cwd=ROOT, check=True)
    stamp.touch()
    return inside


def passed(environment: Environment, python: str) -> bool:
    """Its tests pass."""
    inside = made(environment, python)
    versions = "import dagster, platform; print(dagster.__version__, platform.python_version())"
    said = subprocess.run([inside, "-c", versions], capture_output=True, text=True, check=True)
    dagster, running = said.stdout.split()
    print(f"{environment.name}: Dagster {dagster}, Python {running}", flush=True)
    tests = [path for path in environment.tests if (ROOT / path).exists()]
    # What Dagster or a library deprecates in a version that is not ours is no error here.
    pytest = [str(inside), "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-W", "default"]
    return subprocess.run([*pytest, *tests], cwd=ROOT, check=False).returncode == 0


def main(asked: Sequence[str]) -> int:
    """Test the environments that are named, or all.

    Returns:
        The exit code: 0, 1 if a test failed or nothing could be installed, 2 for an unknown name.
    """
    names = {environment.name for environment in ENVIRONMENTS}
    if unknown := sorted(set(asked) - names):
        print(f"test-versions: no '{unknown[0]}'; there are {', '.join(sorted(names))}")
        return 2
    failed: list[str] = []
    for environment in ENVIRONMENTS:
        if asked and environment.name not in asked:
            continue
        python = interpreter(environment.python)
        if python is None:
            print(f"{environment.name}: skipped, no Python {environment.python} on this machine")
            continue
        try:
            if not passed(environment, python):
                failed.append(environment.name)
        except subprocess.CalledProcessError as error:
            print(f"{environment.name}: `{' '.join(map(str, error.cmd[:4]))} ...` failed")
            failed.append(environment.name)
    print(f"test-versions: {'failed: ' + ', '.join(failed) if failed else 'all passed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
