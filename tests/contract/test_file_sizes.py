"""Every file stays small enough to be read at one sitting."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("klio_dagster", "asset_defs", "beam_jobs", "sensors", "tests", "tools", "benchmarks")
MOST_LINES = 350


def test_no_python_file_is_longer_than_350_lines():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_bytes().splitlines())
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if not path.stem.endswith("_pb2")
    }

    too_long = {path: lines for path, lines in lengths.items() if lines > MOST_LINES}

    assert len(lengths) > 20, "the folders are not where this test looks"
    assert not too_long, f"split by subject: {too_long}"
