import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from simulated_runs import single, write_numbers, write_predictions, write_run
from sklearn import metrics as reference

from luthier.errors import DataError, RunError
from luthier.evaluate.judge import Errors
from luthier.evaluate.records import read
from luthier.evaluate.report import gather, render
from luthier.evaluate.slices import by_column, cut, differences, p_worse, section, weigh

ROWS = 1200


def errors(sizes, graded=True):
    return Errors(np.asarray(sizes, dtype=float), "Off by", "{:.2f}", "worst", graded)


def columns(rows=ROWS, seed=11):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "source": random.choice(["web", "shop", "phone"], rows, p=[0.5, 0.4, 0.1]),
            "stars": random.integers(1, 6, rows),
            "price": random.gamma(2, 20, rows),
            "member": random.random(rows) < 0.3,
            "length (tokens)": random.integers(3, 200, rows),
        }
    )


def add_columns(run, table):
    """Columns as `luthier train` keeps them."""
    rows = pd.read_parquet(run / "predictions.parquet")["row"]
    table.assign(**{"(row)": rows, "(split)": "test"}).to_parquet(run / "columns.parquet")
    return run


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A run whose answers to rows from the phone are mostly wrong."""
    run = write_run(tmp_path_factory.mktemp("runs") / "planted", ["neg", "pos"], kind="binary", rows=ROWS, skill=3)
    table = columns()
    targets, scores = single(ROWS, 2, 0, 3)
    bad = (table["source"] == "phone").to_numpy() & (np.random.default_rng(1).random(ROWS) < 0.5)
    scores[bad] = np.eye(2, dtype=np.float32)[1 - targets[bad]] * 0.8 + 0.1
    write_predictions(run, ["neg", "pos"], targets, scores, "en")
    return add_columns(run, table)


def test_a_planted_slice_is_found_and_no_other(planted):
    facts = section(read(planted))
    assert facts["sure"] == 1
    worst = facts["shown"][0]
    assert (worst["column"], worst["value"]) == ("source", "phone")
    assert worst["p"] < 1e-6
    assert worst["interval"][0] > 0.2
    assert set(facts["columns"]) == {"source", "stars", "price", "member", "length (tokens)"}


def test_the_figures_of_slices_are_those_of_scikit_learn(planted):
    table, answers = pd.read_parquet(planted / "columns.parquet"), pd.read_parquet(planted / "predictions.parquet")
    wrong = (answers["label"] != answers["predicted"]).to_numpy()
    for one in by_column(read(planted), "source")["shown"]:
        rows = (table["source"] == one["value"]).to_numpy()
        true, said = answers["label"][rows], answers["predicted"][rows]
        assert one["rows"] == rows.sum()
        assert one["figures"]["accuracy"] == pytest.approx(reference.accuracy_score(true, said))
        assert one["figures"]["f1_macro"] == pytest.approx(reference.f1_score(true, said, average="macro"))
        chances = np.stack(answers["probabilities"][rows])[:, 1]
        assert one["figures"]["roc_auc"] == pytest.approx(reference.roc_auc_score(true == "pos", chances))
        assert one["error"] == pytest.approx(wrong[rows].mean())
        assert one["rest"] == pytest.approx(wrong[~rows].mean())


def test_lengths_are_cut_at_their_quartiles(planted):
    facts = by_column(read(planted), "length")
    lengths = pd.read_parquet(planted / "columns.parquet")["length (tokens)"]
    ends = [tuple(map(float, one["value"].split(" to "))) for one in facts["shown"]]
    assert len(ends) == 4
    for (low, high), one, part in zip(ends, facts["shown"], np.array_split(np.sort(lengths), 4), strict=True):
        assert ((lengths >= low) & (lengths <= high)).sum() == one["rows"]
        assert one["rows"] == pytest.approx(len(part), abs=10)


def test_alike_groups_raise_a_false_alarm_in_about_one_table_in_twenty():
    table = columns(600)
    slices = [one for name in table for one in cut(name, table[name])]
    random, tables = np.random.default_rng(0), 400
    alarms = {}
    for graded in (True, False):
        drawn = random.random((tables, 600)) < 0.2 if graded else random.gamma(1, 1, (tables, 600))
        lowest = [min(p_worse(one.astype(float), part.rows, graded) for part in slices) for one in drawn]
        alarms[graded] = np.mean(np.array(lowest) * len(slices) < 0.05)  # Holm's first step
        assert np.mean(np.array(lowest) < 0.05) > 0.3, "uncorrected looks raise false alarms, so the test can fail"
    assert max(alarms.values()) < 0.08
    assert alarms[False] > 0.01


def test_the_tests_are_those_of_scipy():
    random = np.random.default_rng(3)
    wrong, rows = (random.random(200) < 0.3).astype(float), random.random(200) < 0.3
    table = [[wrong[rows].sum(), (1 - wrong)[rows].sum()], [wrong[~rows].sum(), (1 - wrong)[~rows].sum()]]
    assert p_worse(wrong, rows, graded=True) == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue)
    sizes = random.gamma(1, 1, 200) + rows

    def gap(sample, others, axis):
        return sample.mean(axis=axis) - others.mean(axis=axis)

    drawn = stats.permutation_test(
        (sizes[rows], sizes[~rows]), gap, vectorized=True, n_resamples=2000, alternative="greater"
    )
    assert p_worse(sizes, rows, graded=False) < 0.01
    assert drawn.pvalue < 0.01


def test_intervals_are_those_of_the_slow_bootstrap():
    from luthier.evaluate.bootstrap import bootstrap

    random = np.random.default_rng(4)
    sizes, rows = random.gamma(1, 1, 150), random.random((150, 3)) < 0.4
    fast = differences(sizes, rows, seed=7)
    for place in range(3):

        def gap(drawn, mask=rows[:, place]):
            inside = mask[drawn]
            return {"gap": sizes[drawn][inside].mean() - sizes[drawn][~inside].mean()}

        np.testing.assert_allclose(fast[:, place], bootstrap(gap, 150, seed=7)["gap"])


def test_small_groups_and_what_all_rows_share_are_left_out():
    values = pd.Series(["a"] * 29 + ["b"] * 200 + [None] * 40)
    assert [(one.value, int(one.rows.sum())) for one in cut("x", values)] == [("(empty)", 40), ("b", 200)]
    assert list(cut("x", pd.Series(["a"] * 300))) == []
    times = pd.Series(pd.date_range("2024-01-01", periods=400, freq="h"))
    assert [int(one.rows.sum()) for one in cut("at", times)] == [100] * 4
    assert weigh(errors([0, 1]), [], seed=0) == []


def test_sizes_of_errors_are_weighed_by_their_means(tmp_path):
    run = add_columns(write_numbers(tmp_path / "run"), columns(300))
    records = read(run)
    found = {one["value"]: one for one in by_column(records, "member")["shown"]}
    table = pd.read_parquet(run / "predictions.parquet")
    off = (table["label"] - table["predicted"]).abs()
    member = pd.read_parquet(run / "columns.parquet")["member"]
    assert found["True"]["error"] == pytest.approx(off[member].mean(), rel=1e-5)
    assert found["True"]["difference"] == pytest.approx(-found["False"]["difference"])
    assert found["True"]["figures"]["mae"] == pytest.approx(off[member].mean(), rel=1e-5)
    assert "Where it is weak" in render(gather(run))


def test_the_report_says_where_it_is_weak(planted, tmp_path):
    facts = gather(planted)
    assert json.loads(json.dumps(facts["slices"])) == facts["slices"]
    page = render(facts)
    assert "Where it is weak" in page
    assert (
        '1 of them is answered worse than the other rows by more than chance; first source = <b lang="">phone</b>'
        in page
    )
    calm = add_columns(write_run(tmp_path / "calm", ["neg", "pos"], kind="binary", rows=ROWS), columns(seed=5))
    assert "None is answered worse than the other rows by more than chance." in render(gather(calm))


def test_what_cannot_be_grouped_is_refused(planted, tmp_path):
    with pytest.raises(
        DataError, match=r"no column 'sorce' to group the rows by; did you mean 'source'\? Kept are numbers"
    ):
        by_column(read(planted), "sorce")
    bare = write_run(tmp_path / "bare", ["neg", "pos"], kind="binary")
    with pytest.raises(RunError, match=r"bare has no columns\.parquet, so its rows cannot be grouped"):
        by_column(read(bare), "source")
    assert section(read(bare)) is None
    few = add_columns(write_run(tmp_path / "few", ["a", "b"], kind="binary", rows=50), columns(50))
    with pytest.raises(DataError, match=r"No value of 'source' has 30 rows and leaves 30, which is too few"):
        by_column(read(few), "source")


def test_p_values_are_corrected_for_all_slices():
    table, wrong = columns(600), (np.random.default_rng(2).random(600) < 0.2).astype(float)
    slices = [one for name in table for one in cut(name, table[name])]
    tests = [p_worse(wrong, one.rows, True) for one in slices]
    by_hand, highest = {}, 0.0
    for looks_left, place in zip(range(len(tests), 0, -1), np.argsort(tests, kind="stable"), strict=True):
        highest = max(highest, min(1.0, tests[place] * looks_left))
        by_hand[int(place)] = highest
    told = weigh(errors(wrong), slices, seed=0)
    assert {one["place"]: one["p"] for one in told} == pytest.approx(by_hand)
    assert told[0]["p"] == pytest.approx(min(1.0, min(tests) * len(slices)))


def test_large_numbers_are_written_in_full():
    assert [one.value for one in cut("price", pd.Series(np.linspace(0, 20000, 401)))][-1] == "15050 to 20000"
