"""Transforms and checks of the chain's tests, imported by name as a worker does."""

import numpy as np
import pandas as pd

from klio_dagster.audio.clip import AudioClip
from klio_dagster.core.check import CheckResult
from klio_dagster.core.entity import Entity

FAINT = 1e-5  # below half a step of 16 bits: the stored clip is silent


def faint() -> AudioClip:
    return AudioClip(np.full((1, 100), FAINT, np.float32), 44_100)


def levels(peak: float = 0.5) -> pd.DataFrame:
    return pd.DataFrame({"peak": [peak], "bars": ["4"]})


def total(levels: pd.DataFrame) -> dict:
    return {"columns": list(levels.columns), "bars": str(levels["bars"][0])}


def alone() -> dict:
    return {}


def has_sound(clip: AudioClip) -> bool:
    return clip.peak > 0


def adds_a_column(frame: pd.DataFrame) -> bool:
    frame["added"] = 1
    return True


def about(value: dict, entity: Entity) -> CheckResult:
    return CheckResult(np.bool_(True), {"n": np.int64(3)}, f"{entity}\nis fine")


def numpy_truth(value: dict) -> object:
    return np.bool_(len(value) == 0)


def raises(value: dict) -> bool:
    raise KeyError("nothing there")


def forgets_to_return(value: dict) -> None:
    pass
