"""Token files against the slow obvious reading of them."""

from pathlib import Path

import pytest

from luthier.data.formats import open_table
from luthier.errors import DataError


def opened(tmp_path: Path, content: str, name: str = "a.conll") -> list[dict[str, list[str]]]:
    (tmp_path / name).write_text(content, encoding="utf-8")
    return open_table(tmp_path / name).rows.to_list()


def test_real_bmes_files(assets: Path) -> None:
    for split in ("train", "dev", "test"):
        file = assets / "data" / f"resume_ner_zh_{split}.bmes"
        blocks = [block.split("\n") for block in file.read_text(encoding="utf-8").strip().split("\n\n")]
        pairs = [[line.split(" ") for line in block if line] for block in blocks]
        expected = [{"tokens": [pair[0] for pair in one], "tags": [pair[1] for pair in one]} for one in pairs]
        assert open_table(file).rows.to_list() == expected


def test_conll_2003_has_the_token_first_and_the_tag_last(tmp_path: Path) -> None:
    content = "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n\nPeter NNP B-NP B-PER\n"
    assert opened(tmp_path, content) == [
        {"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"]},
        {"tokens": ["Peter"], "tags": ["B-PER"]},
    ]


def test_tabs_windows_line_ends_a_mark_and_comments(tmp_path: Path) -> None:
    content = "\ufeff# sent_id = 1\r\nNew York\tB-LOC\r\n#\tO\r\n\r\nis\tO\r\n"
    assert opened(tmp_path, content, "a.bio") == [
        {"tokens": ["New York", "#"], "tags": ["B-LOC", "O"]},
        {"tokens": ["is"], "tags": ["O"]},
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "EU B-ORG\nrejects\n",
            r"a\.conll, line 2: 'rejects' has no tag; expected a token and its tag, such as `Paris B-LOC`\.",
        ),
        ("EU B-ORG\nrejects VBZ O\n", r"a\.conll, line 2: 3 columns where the lines above have 2: 'rejects VBZ O'\."),
        ("\n\n", r"a\.conll holds no tokens; expected a token and its tag on each line"),
    ],
)
def test_what_is_no_token_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened(tmp_path, content)
