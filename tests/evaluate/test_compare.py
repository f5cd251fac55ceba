"""The rules of a comparison: what chooses, what is told apart, what is shown."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from compared import answers, contender, ground

from luthier.evaluate.compare import gather
from luthier.evaluate.compare_page import render
from luthier.evaluate.contenders import Contender, Measured, constant
from luthier.evaluate.costs import Cost
from luthier.evaluate.paired import mcnemar, two_sided

GROUND = ground()


def line(facts, name):
    return next(one for one in facts["contenders"] if one["name"] == name)


def test_validation_rows_choose_and_test_rows_do_not():
    good_test = contender("flatterer", GROUND, (range(2), range(30)))
    good_validation = contender("worker", GROUND, (range(60), range(5)))
    facts = gather(GROUND, [good_test, good_validation])
    assert facts["title"] == "2 models compared on 200 test rows"
    assert gather(GROUND, [good_test])["title"] == "1 model compared on 200 test rows"
    assert (facts["chosen"], facts["reference"]) == ("worker", "worker")
    assert facts["verdict"].startswith(
        "Take worker, the best by Accuracy on the 100 validation rows (0.950); no test row had a say in it. On the 200 test rows it "
        "gets 0.700 ("
    )
    test = line(facts, "flatterer")["figures"]["accuracy"]["test"]
    assert not test["worse"]
    assert test["told_apart"]


@pytest.mark.parametrize("seed", range(5))
def test_the_choice_is_the_same_whatever_the_test_rows_say(seed):
    random = np.random.default_rng(seed)
    names = "abcd"
    wrong = [set(random.integers(200, size=50).tolist()) for _ in names]
    facts = gather(
        GROUND,
        [
            contender(name, GROUND, (rows, range(10 + 3 * place)))
            for place, (name, rows) in enumerate(zip(names, wrong, strict=True))
        ],
    )
    assert facts["chosen"] == "a"
    assert [one["name"] for one in facts["contenders"] if "parameters" in one["fronts"]] == ["a"]


def test_of_equals_the_one_that_trains_less_is_taken():
    large, small = (
        contender(name, GROUND, (range(9), range(9)), cost=Cost(parameters=size))
        for name, size in (("large", 1e6), ("small", 10))
    )
    assert gather(GROUND, [large, small])["chosen"] == "small"


def test_without_common_validation_rows_none_is_chosen():
    bare = ground(validation=0)
    facts = gather(bare, [contender("a", bare, (range(9), range(0))), contender("b", bare, (range(5), range(0)))])
    assert facts["chosen"] is None
    assert facts["verdict"] == (
        "None is chosen: the runs have different validation rows, and test rows are not for choosing. All are tested against a, the first."
    )
    assert all(not one["fronts"] for one in facts["contenders"])
    assert "None is chosen" in render(facts)


def test_where_the_validation_rows_are_reported_it_is_said():
    both = ground()
    both = replace(both, reported=both.chosen_on, table=both.table.iloc[:100])
    facts = gather(both, [contender("a", both, (range(9), range(9))), contender("b", both, (range(5), range(5)))])
    assert "There are no other held-out rows, so what follows leans to the good side." in facts["verdict"]


def test_tests_are_those_of_the_same_rows():
    first, second = contender("a", GROUND, (range(30), range(3))), contender("b", GROUND, (range(20, 70), range(9)))
    facts = gather(GROUND, [first, second])
    figures = line(facts, "b")["figures"]
    right = [~np.isin(np.arange(200), list(wrong)) for wrong in (range(20, 70), range(30))]
    assert figures["accuracy"]["test"]["by"] == "McNemar"
    assert figures["accuracy"]["test"]["p"] == pytest.approx(mcnemar(*right))
    drawn = [one.measured.resampled["f1_macro"][0] for one in (second, first)]
    assert figures["f1_macro"]["test"]["by"] == "bootstrap"
    assert figures["f1_macro"]["test"]["p"] == pytest.approx(two_sided(drawn[0] - drawn[1]))
    assert figures["f1_macro"]["test"]["interval"] == pytest.approx(np.percentile(drawn[0] - drawn[1], [2.5, 97.5]))
    assert figures["accuracy"]["interval"] == pytest.approx(
        GROUND.judge.intervals(GROUND.reported.targets, answers(GROUND.reported.targets, range(20, 70)))["accuracy"]
    )
    assert figures["log_loss"]["test"]["worse"]
    assert figures["ece"]["test"] is None  # resampling distorts it


def test_more_contenders_need_more_evidence():
    wrong = [range(20 + 8 * place) for place in range(5)]
    several = gather(GROUND, [contender(f"c{place}", GROUND, (rows, range(place))) for place, rows in enumerate(wrong)])
    tests = [one["figures"]["accuracy"]["test"] for one in several["contenders"][1:]]
    assert all(test["p_corrected"] >= test["p"] for test in tests)
    assert max(test["p_corrected"] / test["p"] for test in tests) == pytest.approx(4, rel=0.01)


def test_seeds_widen_the_interval_and_are_told():
    steady = contender("steady", GROUND, *[(range(40), range(8))] * 3)
    erratic = contender("erratic", GROUND, *[(range(rows), range(8)) for rows in (10, 40, 70)])
    facts = gather(GROUND, [steady, erratic])
    one, other = (line(facts, name)["figures"]["accuracy"] for name in ("steady", "erratic"))
    assert one["value"] == pytest.approx(other["value"])
    assert (one["spread"], other["spread"]) == (pytest.approx(0), pytest.approx(np.std([0.95, 0.8, 0.65], ddof=1)))
    width = [np.ptp(figure["interval"]) for figure in (one, other)]
    assert width[1] > 2 * width[0]
    assert other["test"]["by"] == "bootstrap"  # the rows of several trainings are not each other's independent draws
    assert not other["test"]["told_apart"]
    assert "seeds 0, 1, 2" in render(facts)


def test_what_failed_is_shown_with_its_reason():
    failed = Contender("lora", "a model, lora", failed="Training diverged at step 3 (loss nan).")
    facts = gather(GROUND, [contender("full", GROUND, (range(9), range(9))), failed])
    assert "lora failed: Training diverged at step 3 (loss nan)." in facts["warnings"]
    assert render(facts).count("Training diverged at step 3 (loss nan).") == 2


def test_an_opponent_that_is_better_is_what_to_take():
    opponent = contender("counted words", GROUND, (range(10), range(2)), trained=False)
    facts = gather(GROUND, [contender("full", GROUND, (range(30), range(20))), opponent])
    assert facts["verdict"].startswith(
        "None of the runs is worth its training: take counted words, the best by Accuracy on"
    )


def test_an_opponent_that_is_not_beaten_is_a_warning():
    opponent = contender("counted words", GROUND, (range(11), range(12)), trained=False)
    facts = gather(GROUND, [contender("full", GROUND, (range(10), range(9))), opponent])
    assert facts["warnings"] == [
        "full is not reliably better than counted words on the test rows: Accuracy 0.950 against 0.945 (p = 1)."
    ]
    assert facts["verdict"].endswith(" Not told apart from it there: counted words.")


def test_doubts_of_the_curves_are_passed_on():
    doubtful = contender("lora", GROUND, (range(10), range(9)), doubts=("lora-0 may do better than is seen here",))
    assert "lora-0 may do better than is seen here" in gather(GROUND, [doubtful, doubtful])["warnings"]


def test_one_answer_to_all_rows_is_measured_row_by_row():
    one = constant(GROUND)
    assert one.name == "majority class"
    share = np.mean(GROUND.reported.targets == 1)
    assert one.measured.figures[0]["accuracy"] == pytest.approx(share)
    assert one.measured.chosen_by == [pytest.approx(np.mean(GROUND.chosen_on.targets == 1))]
    drawn = one.measured.resampled["accuracy"]
    assert drawn.mean() == pytest.approx(share, abs=0.01)
    assert drawn.std() == pytest.approx(np.sqrt(share * (1 - share) / 200), rel=0.1)


def test_agreement_counts_are_those_of_a_loop():
    wrong = {"a": range(50), "b": range(40, 90), "c": range(0, 200, 3)}
    facts = gather(
        GROUND, [contender(name, GROUND, (rows, range(place))) for place, (name, rows) in enumerate(wrong.items())]
    )
    found = facts["agreement"]
    right = {name: [row not in rows for row in range(200)] for name, rows in wrong.items()}
    sums = [sum(right[name][row] for name in wrong) for row in range(200)]
    assert (found["all"], found["none"], found["alone"]) == (sums.count(3), sums.count(0), sums.count(1))
    for each in found["each"]:
        own = right[each["name"]]
        assert each["right"] == sum(own)
        assert each["alone_right"] == sum(own[row] and sums[row] == 1 for row in range(200))
        assert each["alone_wrong"] == sum(not own[row] and sums[row] == 2 for row in range(200))
        assert each["right_where_reference_is_wrong"] == sum(own[row] and not right["a"][row] for row in range(200))
        assert each["wrong_where_reference_is_right"] == sum(not own[row] and right["a"][row] for row in range(200))
    for shown in found["rows"]:
        assert [name for name in wrong if right[name][shown["row"] - 1]] == [shown["by"]]
        assert shown["inputs"] == {"review": f"text {shown['row'] - 1}"}


class Shape(HTMLParser):
    """What of a page screen readers go by."""

    def __init__(self):
        super().__init__()
        self.tags, self.scoped, self.captions = [], 0, 0

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.scoped += tag == "th" and "scope" in dict(attrs)


def test_the_page_stands_alone_and_is_read_aloud():
    facts = gather(
        GROUND,
        [
            contender("<b>full", GROUND, (range(9), range(9))),
            contender("头", GROUND, (range(5), range(20)), cost=Cost(1)),
            constant(GROUND),
        ],
        ["a note"],
    )
    page = render(facts)
    shape = Shape()
    shape.feed(page)
    assert "script" not in shape.tags
    assert "http" not in page.replace("http://www.w3.org", "")
    assert shape.tags.count("caption") == shape.tags.count("table")
    assert shape.scoped == shape.tags.count("th")
    assert "<b>full" not in page
    drawings = [ElementTree.fromstring(f"<svg{piece.split('</svg>')[0]}</svg>") for piece in page.split("<svg")[1:]]
    assert len(drawings) == 2
    for drawing in drawings:
        assert drawing.get("role") == "img"
        assert "<b>full" in drawing.get("aria-label")
    assert page.count("on the front") > 5
    for one in facts["contenders"]:
        assert f"{one['figures']['accuracy']['value']:.3f}" in page


def test_contenders_without_costs_or_intervals_are_shown_too():
    bare = Contender("chance", "in any order", Measured([{"accuracy": 0.5}], {}, [0.5]), trained=False)
    facts = gather(GROUND, [contender("full", GROUND, (range(9), range(9)), cost=Cost()), bare])
    assert line(facts, "chance")["figures"]["accuracy"] == {
        "value": 0.5, "each": [0.5], "spread": None, "interval": None, "test": None
    }  # fmt: skip
    assert "chance" in render(facts)
