"""Little passages with questions, written for the tests, as SQuAD files: English ones of version 2, Chinese ones as CMRC 2018 has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Passage = tuple[str, str, tuple[tuple[str, tuple[str, ...]], ...]]
"""Title, text, and questions with their true answers; none where the text does not say."""

ENGLISH: tuple[Passage, ...] = (
    (
        "Lutes",
        "A lute is a plucked instrument with a round back. It came to Europe from the Arab world in the Middle Ages, and its makers, "
        "the luthiers, settled in Bologna and Padua. By 1600 a lute had as many as ten courses of strings made of gut.",
        (
            ("Where did the lute come from?", ("the Arab world", "Arab world")),
            ("What are the makers of lutes called?", ("luthiers", "the luthiers")),
            ("What were the strings made of?", ("gut",)),
            ("Who wrote the first book about the lute?", ()),
        ),
    ),
    (
        "Tides",
        "The sea rises and falls twice a day because the Moon pulls at the water. When Sun and Moon stand in line, at new and full "
        "moon, the tide is highest and is called a spring tide. In the Bay of Fundy in Canada the difference is sixteen metres.",
        (
            ("What pulls at the water?", ("the Moon", "Moon")),
            ("What is the highest tide called?", ("a spring tide", "spring tide")),
            ("How large is the difference in the Bay of Fundy?", ("sixteen metres",)),
            ("How fast does the water flow?", ()),
        ),
    ),
    (
        "Bread",
        "Bread rises because yeast turns sugar into carbon dioxide. A baker kneads the dough for ten minutes so that gluten forms a "
        "net that holds the gas. Rye has little gluten, and so bakers raise it with sourdough instead.",
        (
            ("What does yeast turn sugar into?", ("carbon dioxide",)),
            ("How long is the dough kneaded?", ("ten minutes", "for ten minutes")),
            ("What holds the gas?", ("gluten", "a net")),
            ("Which oven is best?", ()),
        ),
    ),
    (
        "Penguins",
        "Emperor penguins breed in the Antarctic winter. The mother lays one egg and walks to the sea, while the father keeps it warm "
        "on his feet for two months. He loses half of his weight before she comes back with fish.",
        (
            ("When do emperor penguins breed?", ("the Antarctic winter", "in the Antarctic winter")),
            ("Who keeps the egg warm?", ("the father", "father")),
            ("How long is the egg kept warm?", ("two months", "for two months")),
        ),
    ),
    (
        "Printing",
        "Johannes Gutenberg of Mainz printed a Bible with movable type around 1455. About 180 copies were made, some on paper and some "
        "on vellum. Within fifty years there were presses in more than two hundred towns.",
        (
            ("Who printed a Bible with movable type?", ("Johannes Gutenberg", "Gutenberg")),
            ("How many copies were made?", ("About 180", "180")),
            ("What was the price of a copy?", ()),
        ),
    ),
    (
        "Canals",
        "The Suez Canal joins the Mediterranean Sea and the Red Sea. It was dug in ten years under Ferdinand de Lesseps and opened in "
        "November 1869. A ship from London to Bombay saves seven thousand kilometres by it.",
        (
            ("When was the canal opened?", ("November 1869", "1869")),
            ("Which seas does it join?", ("the Mediterranean Sea and the Red Sea",)),
            ("How much does a ship from London to Bombay save?", ("seven thousand kilometres",)),
        ),
    ),
    (
        "Bees",
        "A honey bee tells the others of a field of flowers by a dance. Karl von Frisch found out what it means: the angle says where "
        "to fly by the Sun, and the length of the run how far it is. He was given the Nobel Prize in 1973.",
        (
            ("Who found out what the dance means?", ("Karl von Frisch",)),
            ("What says where to fly?", ("the angle",)),
            ("When was he given the Nobel Prize?", ("1973", "in 1973")),
        ),
    ),
    (
        "Glass",
        "Glass is made of sand, soda and lime, melted at fifteen hundred degrees. On the island of Murano near Venice glassmakers were "
        "not allowed to leave, so that their secrets stayed there. Their clear glass was called cristallo.",
        (
            ("What is glass made of?", ("sand, soda and lime",)),
            ("What was the clear glass called?", ("cristallo",)),
            ("Who owned the island?", ()),
        ),
    ),
)

CHINESE: tuple[Passage, ...] = (
    (
        "茶",
        "茶树原产于中国西南部的云南。唐代的陆羽写了世界上第一部关于茶的书《茶经》，全书约七千字。绿茶不经发酵，红茶则完全发酵。",
        (
            ("茶树原产于哪里？", ("中国西南部的云南", "云南")),
            ("谁写了《茶经》？", ("陆羽", "唐代的陆羽")),
            ("哪种茶完全发酵？", ("红茶",)),
        ),
    ),
    (
        "长城",
        "长城是中国古代的军事防御工程。现存的长城多为明代所建，全长八千八百五十一公里，东起虎山，西至嘉峪关。一九八七年被列入世界遗产。",
        (
            ("现存的长城多建于什么朝代？", ("明代",)),
            ("明长城全长多少公里？", ("八千八百五十一公里",)),
            ("长城哪一年被列入世界遗产？", ("一九八七年",)),
        ),
    ),
    (
        "大熊猫",
        "大熊猫生活在四川、陕西和甘肃的山里，主要吃竹子，一天要吃十二公斤以上。刚出生的幼崽只有一百克左右。科学家用红外相机数它们的数量。",
        (
            ("大熊猫主要吃什么？", ("竹子",)),
            ("刚出生的幼崽有多重？", ("一百克左右", "只有一百克左右")),
            ("科学家用什么数大熊猫？", ("红外相机",)),
        ),
    ),
    (
        "造纸",
        "东汉的蔡伦在公元一〇五年改进了造纸术。他用树皮、破布和渔网做原料，使纸的价格大大降低。八世纪时，造纸术传到了阿拉伯地区。",
        (
            ("谁改进了造纸术？", ("蔡伦", "东汉的蔡伦")),
            ("造纸术什么时候传到阿拉伯地区？", ("八世纪时", "八世纪")),
            ("蔡伦用什么做原料？", ("树皮、破布和渔网",)),
        ),
    ),
)


def content(passages: tuple[Passage, ...]) -> dict[str, Any]:
    """What a SQuAD file holds."""
    articles = []
    for title, text, questions in passages:
        qas = [_asked(f"{title}-{number}", text, *one) for number, one in enumerate(questions, start=1)]
        articles.append({"title": title, "paragraphs": [{"context": text, "qas": qas}]})
    return {"version": "v2.0", "data": articles}


def write(place: Path, passages: tuple[Passage, ...] = ENGLISH) -> Path:
    """The file."""
    file = place / "passages.json"
    file.write_text(json.dumps(content(passages), ensure_ascii=False), encoding="utf-8")
    return file


def _asked(name: str, text: str, question: str, answers: tuple[str, ...]) -> dict[str, Any]:
    marked = [{"text": one, "answer_start": text.index(one)} for one in answers]
    return {"id": name, "question": question, "answers": marked, "is_impossible": not answers}
