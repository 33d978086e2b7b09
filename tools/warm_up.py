"""Fills librosa's numba cache, so that no run pays for compiling it."""

import librosa
import numpy as np


def warm_up() -> None:
    """One small mel and MFCC: everything of librosa that numba compiles on the way."""
    clip = np.zeros(4096, dtype=np.float32)
    mel = librosa.feature.melspectrogram(y=clip, sr=22050, n_fft=512, n_mels=16)
    librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=4)


if __name__ == "__main__":
    warm_up()
