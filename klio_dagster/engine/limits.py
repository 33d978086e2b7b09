"""What bounds a worker process: threads of numeric libraries, how malloc keeps memory."""

from collections.abc import Mapping
from typing import Final

# One worker a core, so a library's own threads would only fight them. All of these are read when
# the library is loaded, hence an environment for the worker and not calls inside it.
_ONE_THREAD: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
# glibc gives arrays of a few megabytes back to the system after every clip and faults them in
# again for the next: keeping them measured up to 9 % less CPU (reference: measured, kernels).
_KEEP_MEMORY: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
}


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker process; what the user has set stays."""
    # What user code prints is read as it comes, and the worker ends without flushing.
    said = {"PYTHONUNBUFFERED": "1"}
    return {**dict.fromkeys(_ONE_THREAD, "1"), **_KEEP_MEMORY, **said, **environment}
