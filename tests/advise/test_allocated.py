"""Counting tensors against their sizes worked out by hand."""

from __future__ import annotations

import torch

from luthier.advise.allocated import Allocated

FLOAT = 4


def test_a_linear_layer_by_hand() -> None:
    layer, rows = torch.nn.Linear(64, 32), torch.randn(16, 64)
    counter = Allocated()
    with counter:
        hidden = layer(rows)
        assert counter.now == 16 * 32 * FLOAT  # weights and rows were there before
        kept = torch.relu(hidden)
        assert counter.now == 2 * 16 * 32 * FLOAT
        del hidden
        assert counter.now == 16 * 32 * FLOAT  # relu's backward reads its result
        total = kept.sum()
        total.backward()
        del kept, total
        assert counter.now == (64 * 32 + 32) * FLOAT  # the gradients
    assert counter.most > (64 * 32 + 32 + 16 * 32) * FLOAT


def test_what_is_saved_for_the_backward_pass_counts_until_it_is_over() -> None:
    saved: list[int] = []

    def note(one: torch.Tensor) -> torch.Tensor:
        saved.append(one.untyped_storage().nbytes())
        return one

    layers = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 8), torch.nn.Tanh())
    rows = torch.randn(4, 8)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda one: one):
        layers(rows)
    of_weights = 8 * 8 * FLOAT
    made = [size for size in saved if size != of_weights][1:]  # the rows themselves were there before
    counter = Allocated()
    with counter:
        loss = layers(rows).sum()
        held = counter.now
    assert held == 2 * 4 * 8 * FLOAT + FLOAT  # of each tanh its result, which the next layer saves too, and the loss
    assert held - FLOAT <= sum(made)
    del loss


def test_sparse_gradients_count() -> None:
    table = torch.nn.Embedding(1000, 8, sparse=True)
    counter = Allocated()
    with counter:
        table(torch.tensor([1, 5])).sum().backward()
        assert counter.now == 2 * 8 * FLOAT + 2 * 8  # two rows, and two numbers of 64 bits
