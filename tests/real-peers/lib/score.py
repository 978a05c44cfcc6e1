"""How well speech arrived: PESQ (ITU-T P.862, narrow-band) of every utterance found in a recording.

    score.py REFERENCE.wav RECORDING.wav   prints one JSON object
    score.py --self-test REFERENCE.wav     shows that the score means something

The reference is one utterance; the recording holds it any number of times, anywhere. Both become 8 kHz, each full
occurrence is found by cross-correlation of the envelopes, cut out and scored by itself.
"""

import json
import sys

import numpy as np
from pesq import NoUtterancesError, pesq
from scipy.io import wavfile
from scipy.signal import correlate, resample_poly

RATE = 8000
HOP = RATE // 100
FLOOR = 1.0  # the lower end of the MOS-LQO scale, for recordings without any speech in them


def read(path):
    """Mono float samples at 8 kHz."""
    rate, samples = wavfile.read(path)
    samples = samples.astype(np.float64)
    if samples.ndim > 1:
        samples = samples.mean(axis=1)
    divisor = np.gcd(rate, RATE)
    return resample_poly(samples, RATE // divisor, rate // divisor) if rate != RATE else samples


def envelope(samples):
    """Loudness of each 10 ms. Unlike the waveform, it survives what codecs and jitter buffers do to phase and time."""
    frames = samples[: len(samples) // HOP * HOP].reshape(-1, HOP)
    return np.sqrt(np.mean(frames**2, axis=1))


def occurrences(reference, recording):
    """(first sample, similarity) of each full occurrence of the reference, best first, none overlapping another."""
    pattern, track = envelope(reference), envelope(recording)
    length = len(pattern)
    if len(track) < length:
        return []
    pattern = pattern - pattern.mean()
    match = correlate(track, pattern, mode="valid", method="direct")
    windows = np.lib.stride_tricks.sliding_window_view(track, length)
    spread = np.sqrt(np.maximum(windows.var(axis=1) * length, 1.0) * np.sum(pattern**2))
    similarity = match / spread
    found = []
    while True:
        start = int(np.argmax(similarity))
        if similarity[start] < 0.6 or len(found) == 8:
            return found
        found.append((start * HOP, float(similarity[start])))
        similarity[max(0, start - length + 50) : start + length - 50] = -1.0


def loudness_matched(samples):
    """Peak at half scale, as 16-bit samples."""
    peak = np.max(np.abs(samples))
    return (samples * (16384 / peak) if peak > 0 else samples).astype(np.int16)


def score(reference, recording):
    results = []
    for start, similarity in occurrences(reference, recording):
        cut = recording[start : start + len(reference)]
        try:
            value = pesq(RATE, loudness_matched(reference), loudness_matched(cut), "nb")
        except NoUtterancesError:
            value = FLOOR
        results.append({"pesq": round(float(value), 3), "at": round(start / RATE, 3), "similarity": round(similarity, 3)})
    level = float(np.sqrt(np.mean(recording**2))) if len(recording) else 0.0
    return {
        "pesq": max((result["pesq"] for result in results), default=FLOOR),
        "worst": min((result["pesq"] for result in results), default=FLOOR),
        "utterances": results,
        "seconds": round(len(recording) / RATE, 2),
        "rms": round(level, 1),
    }


def self_test(reference):
    """Fails unless identical speech scores high, damage costs, and noise, silence and too little speech score nothing."""
    random = np.random.default_rng(1)
    silence = np.zeros(RATE)
    twice = np.concatenate([silence, reference, silence, reference, silence])
    level = np.sqrt(np.mean(reference**2))
    lossy = twice.copy()
    for start in range(0, len(lossy) - 160, 160 * 8):
        lossy[start : start + 160] = 0  # every eighth 20 ms packet lost, not concealed
    noise = random.normal(0, level, len(twice))
    scores = {
        "identical": score(reference, twice),
        "quieter": score(reference, twice * 0.25),
        "noisy": score(reference, twice + noise * 0.2),
        "lossy": score(reference, lossy),
        "noise": score(reference, noise),
        "silence": score(reference, np.zeros(len(twice))),
        "short": score(reference, reference[: len(reference) // 2]),
    }
    values = {name: result["pesq"] for name, result in scores.items()}
    print(json.dumps(values))
    assert values["identical"] > 4.4 and len(scores["identical"]["utterances"]) == 2, scores["identical"]
    assert abs(scores["identical"]["utterances"][0]["at"] % (len(reference) / RATE + 1) - 1) < 0.01, scores["identical"]
    assert values["quieter"] > 4.4, values
    assert values["noisy"] < values["identical"] - 0.5, values
    assert values["lossy"] < values["identical"] - 0.5, values
    assert values["noise"] == values["silence"] == values["short"] == FLOOR, values


if __name__ == "__main__":
    if sys.argv[1] == "--self-test":
        self_test(read(sys.argv[2]))
    else:
        print(json.dumps(score(read(sys.argv[1]), read(sys.argv[2]))))
