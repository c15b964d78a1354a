"""Words as sets of letter groups, to tell the language: Spanish or Portuguese, or one of thirteen."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.harness.dataset import BaseDataset, thin
from benchmarks.harness.problem import Floats

LANGUAGES: tuple[str, str] = ("es", "pt")
LATIN = ("ca", "cs", "de", "en", "es", "fi", "fr", "it", "nb", "nl", "pl", "pt", "sv")
WORDS = 50_000
GROUPS = (2, 3, 4)


def frequent(language: str, count: int) -> list[str]:
    """Return the most frequent words of a language, from the files of the package wordfreq, which is not imported."""
    import msgpack

    spec = importlib.util.find_spec("wordfreq")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the language data comes with wordfreq: pip install wordfreq==3.1.1 msgpack")
    with gzip.open(Path(spec.origin).parent / "data" / f"large_{language}.msgpack.gz") as file:
        bins = msgpack.load(file, raw=False)
    return [word for each in bins[1:] for word in each][:count]


def letter_groups(words: list[str]) -> csr_matrix:
    """Return a row of ones for each word: its groups of 2 to 4 letters, with a mark at both ends."""
    vocabulary: dict[str, int] = {}
    indices: list[int] = []
    bounds = [0]
    for word in words:
        text = f"^{word}$"
        groups = {text[i : i + size] for size in GROUPS for i in range(len(text) - size + 1)}
        indices += sorted(vocabulary.setdefault(group, len(vocabulary)) for group in sorted(groups))
        bounds.append(len(indices))
    return csr_matrix(
        (np.ones(len(indices)), np.array(indices, np.int32), np.array(bounds, np.int32)),
        shape=(len(words), len(vocabulary)),
    )


def words_of(languages: tuple[str, ...]) -> tuple[csr_matrix, Floats]:
    """Return the frequent words of some languages, shuffled, and the number of the language of each."""
    words = [frequent(language, WORDS) for language in languages]
    X = letter_groups([word for each in words for word in each])
    y = np.repeat(np.arange(float(len(languages))), [len(each) for each in words])
    order = np.random.default_rng(0).permutation(len(y))
    return X[order], y[order]


class Pair(BaseDataset):
    """The words of two languages."""

    def __init__(self, name: str, languages: tuple[str, str]) -> None:
        self.name, self.languages = name, languages  # type: ignore[misc]
        self.description = f"{' and '.join(languages)} words as sets of letter groups, up to 100,000 rows, sparse"  # type: ignore[misc]

    def load(self, scale: float) -> tuple[Any, dict[str, Floats]]:
        X, y = words_of(self.languages)
        return thin(X, {"language": y}, scale)


RING = tuple(zip(LATIN, LATIN[1:] + LATIN[:1], strict=True))
DATASETS = (Pair("languages", LANGUAGES), *(Pair(f"words-{a}-{b}", (a, b)) for a, b in RING))
