"""What several answers come to, against counting them by hand."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from luthier.data.exchange.kinds import more_than_half, most


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=9))
def test_the_most_frequent_answer_wins_and_a_tie_has_no_winner(answers: list[str]) -> None:
    votes = {answer: answers.count(answer) for answer in "abc"}
    winners = [answer for answer, count in votes.items() if count == max(votes.values())]
    assert most(answers) == (winners[0] if len(winners) == 1 else None)


@given(st.lists(st.sets(st.sampled_from("abcd")).map(sorted), min_size=1, max_size=6))
def test_labels_of_more_than_half_are_kept(answers: list[list[str]]) -> None:
    shares = {label: Fraction(sum(label in answer for answer in answers), len(answers)) for label in "abcd"}
    kept = {label for label, share in shares.items() if share > Fraction(1, 2)}
    found = more_than_half(answers)
    assert set(found or []) == kept
    assert (found is None) == (not kept and all(answers))
