"""Exact and near duplicates among 10k, 100k and 1M short texts: time and peak memory, each size in a process of its own; and
recall and precision against the Jaccard similarity of all pairs; and what is found in real files.

python benchmarks/duplicates.py [10000 100000 1000000]        needs LUTHIER_ASSETS and the extra `clean`
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import chain, starmap
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from pyarrow import csv

from luthier.data import conflicts, duplicates
from luthier.data.normal import normal

SIZES = (10_000, 100_000, 1_000_000)
FILES = {
    "sst2_en_train": "text",
    "sms_spam_en": "text",
    "hotel_reviews_zh": "review",
    "news_titles_zh_dev": "text",
    "sms_spam_kinds_zh": "text",
}
EXACT, NEAR = 0.05, 0.10
"""Shares of planted rows: a copy in other case and spacing; a copy with one edit."""

ALL_PAIRS = 4000
"""Rows of a real file that are compared pair by pair."""


CURVE = ["texts", "characters", "exact s", "near s", "near CPU s", "peak MiB", "exact found", "near found", "crowded"]
TRUTH = ["file", "rows", "pairs alike", "found", "recall", "precision"]
WHOLE = ["file", "rows", "groups", "exact", "near", "crowded", "groups with different labels"]


def main() -> None:
    """Three tables in Markdown: the curve, all pairs of the first rows of real files, and the whole of these files."""
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    table(CURVE, map(curve, sizes))
    small = {name: real(name)[0][:ALL_PAIRS] for name in FILES} | {"made up, with planted": made(ALL_PAIRS)[0]}
    table(TRUTH, starmap(against_all_pairs, small.items()))
    table(WHOLE, map(whole, FILES))


def table(names: list[str], rows: Iterable[list[str]]) -> None:
    for row in chain([names, ["--:"] * len(names)], rows):
        print(f"| {' | '.join(row)} |", flush=True)
    print()


def curve(size: int) -> list[str]:
    """Time and memory of a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        planted = write(size, Path(folder))
        command = [sys.executable, __file__, "--one", folder]
        done = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        first = np.load(Path(folder, "first.npy"))
    took = [f"{done[key]:.1f}" for key in ("exact", "near", "cpu")]
    found = [share(first, planted[kind]) for kind in ("exact", "near")]
    return [f"{size:,}", f"{planted['characters']:,}", *took, f"{done['peak']:.0f}", *found, f"{done['crowded']:,}"]


def whole(name: str) -> list[str]:
    """What is found in a whole file."""
    texts, labels = real(name)
    groups = duplicates.near(datasets.Dataset.from_dict({"text": texts}), "text")
    counts = [len(texts), *groups.facts.values(), len(conflicts.find(groups, labels))]
    return [name, *(f"{count:,}" for count in counts)]


def one(folder: str) -> None:
    """Search one data set in this process and say what it took."""
    rows = datasets.load_from_disk(folder)
    start = time.perf_counter()
    duplicates.exact(rows, "text")
    middle, busy = time.perf_counter(), time.process_time()
    groups = duplicates.near(rows, "text")
    took = {"exact": middle - start, "near": time.perf_counter() - middle, "cpu": time.process_time() - busy}
    np.save(Path(folder, "first.npy"), groups.first)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(took | {"peak": peak, "crowded": groups.crowded}))


def real(name: str) -> tuple[list[str], list[str]]:
    """Texts and labels of a file, without empty texts."""
    options = csv.ParseOptions(newlines_in_values=True)
    rows = csv.read_csv(Path(os.environ["LUTHIER_ASSETS"], "data", f"{name}.csv"), parse_options=options)
    columns = (rows[column].cast("string").to_pylist() for column in (FILES[name], "label"))
    pairs = [(text, label) for text, label in zip(*columns, strict=True) if text and text.strip()]
    return [text for text, _ in pairs], [label for _, label in pairs]


def write(size: int, folder: Path) -> dict[str, Any]:
    """Write made-up texts as a data set; returns the planted pairs of rows and how many characters there are."""
    texts, planted = made(size)
    Path(folder).mkdir(exist_ok=True)
    datasets.Dataset.from_dict({"text": texts}).save_to_disk(folder)
    return planted | {"characters": sum(map(len, texts))}


def made(size: int) -> tuple[list[str], dict[str, list[tuple[int, int]]]]:
    """Clauses of real texts put together anew, two to four of one file, with planted copies at the end, each of another row."""
    chance = random.Random(0)
    pools = [list(clauses(name)) for name in FILES]
    fresh = size - int(size * EXACT) - int(size * NEAR)
    texts = [" ".join(chance.choices(chance.choice(pools), k=chance.randint(2, 4))) for _ in range(fresh)]
    sources = chance.sample(range(fresh), size - fresh)
    planted: dict[str, list[tuple[int, int]]] = {"exact": [], "near": []}
    for row, source in enumerate(sources, fresh):
        kind = "exact" if row - fresh < size * EXACT else "near"
        text = f" {texts[source].upper()}\u3000" if kind == "exact" else edited(texts[source], chance)
        texts.append(text)
        if kind == "exact" or jaccard(text, texts[source]) >= 0.8:
            planted[kind].append((source, row))
    return texts, planted


def clauses(name: str) -> Iterator[str]:
    """The parts of all texts of a file, at least 8 characters long."""
    for text in real(name)[0]:
        yield from (part for part in re.split(r"[,.!?;，。！？；\n]+\s*", text) if len(part) >= 8)


def edited(text: str, chance: random.Random) -> str:
    """A copy with one character replaced, left out or put in."""
    at = chance.randrange(len(text))
    return text[:at] + chance.choice(["", "x", "的", text[at] * 2]) + text[at + 1 :]


def shingles(text: str) -> set[str]:
    plain = normal(text)
    return {plain[at : at + 3] for at in range(max(1, len(plain) - 2))}


def jaccard(one: str, other: str) -> float:
    return len(shingles(one) & shingles(other)) / len(shingles(one) | shingles(other))


def share(first: np.ndarray, pairs: list[tuple[int, int]]) -> str:
    """How many planted pairs are in one group."""
    together = sum(int(first[source] == first[row]) for source, row in pairs)
    return f"{together:,} of {len(pairs):,} ({together / len(pairs):.2%})"


def against_all_pairs(name: str, texts: list[str]) -> list[str]:
    """Pairs in one group against pairs that a walk over all similar pairs connects."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from sklearn.feature_extraction.text import CountVectorizer

    counts = CountVectorizer(analyzer=shingles, binary=True).fit_transform(texts).astype(np.int32)
    shared = (counts @ counts.T).tocoo()
    sizes = np.asarray(counts.sum(axis=1)).ravel()
    alike = shared.data >= 0.8 * (sizes[shared.row] + sizes[shared.col] - shared.data)
    edges = coo_array((alike[alike], (shared.row[alike], shared.col[alike])), shape=shared.shape)
    _, truth = connected_components(edges, directed=False)
    groups = duplicates.near(datasets.Dataset.from_dict({"text": texts}), "text")
    true, ours = together(truth), together(groups.first)
    both = together(np.unique(np.stack([truth, groups.first]), axis=1, return_inverse=True)[1].ravel())
    found = [f"{both / max(count, 1):.4f}" for count in (true, ours)]
    return [name, f"{len(texts):,}", f"{true:,}", f"{ours:,}", *found]


def together(groups: np.ndarray) -> int:
    """Pairs of rows in one group."""
    sizes = np.unique(groups, return_counts=True)[1]
    return int((sizes * (sizes - 1) // 2).sum())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2])
    else:
        main()
