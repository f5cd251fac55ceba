"""A quickened model computes, saves and loads as the stock one."""

import copy
import json
import pickle

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from luthier.models import attention, quick
from luthier.models.dropout import CheapDropout
from luthier.models.embedding import AddingEmbedding
from luthier.models.linear import OneDnnLinear
from luthier.models.quick import quicken

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": 50}


def bert() -> PreTrainedModel:
    return BertForSequenceClassification(BertConfig(**SMALL, num_labels=3))


def roberta() -> PreTrainedModel:
    return RobertaForSequenceClassification(RobertaConfig(**SMALL, num_labels=3))


def gpt2() -> PreTrainedModel:
    return GPT2ForSequenceClassification(
        GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=50, num_labels=3, pad_token_id=0)
    )


@pytest.fixture(params=[bert, roberta, gpt2], ids=lambda build: build.__name__)
def stock(request) -> PreTrainedModel:
    torch.manual_seed(0)
    return request.param().eval()


@pytest.fixture(autouse=True)
def _onednn_everywhere(monkeypatch):
    """Test the linear layer on every machine where it runs, not only where it is faster."""
    there = torch._C._dispatch_has_kernel_for_dispatch_key("mkldnn::_linear_pointwise", "CPU")
    monkeypatch.setattr(quick, "onednn_is_faster", lambda: there)


def batch(lengths=(9, 6, 2)):
    ids = torch.randint(2, 50, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return {"input_ids": ids, "attention_mask": mask}


def loss_sum(model, lengths=(9, 6, 2)):
    labels = torch.arange(len(lengths)) % 3
    return nn.functional.cross_entropy(model(**batch(lengths)).logits, labels, reduction="sum")


@pytest.mark.parametrize("lengths", [(9, 6, 2), (7, 7)])
def test_logits_and_gradients_without_dropout(stock, lengths):
    model = quicken(copy.deepcopy(stock))
    for _ in range(2):  # the second call adds to the first one's gradient
        for one in (stock, model):
            loss_sum(one, lengths).backward()
    assert torch.allclose(stock(**batch(lengths)).logits, model(**batch(lengths)).logits, atol=1e-5)
    quickened = dict(model.named_parameters())
    for name, weight in stock.named_parameters():
        assert torch.allclose(weight.grad, quickened[name].grad, atol=1e-5), name


def test_with_dropout_the_losses_have_the_same_mean(stock):
    """Four hundred draws of each; a wrong scale anywhere moves the mean by far more."""
    means = []
    for one in (stock, quicken(copy.deepcopy(stock))):
        torch.manual_seed(0)
        with torch.no_grad():
            means.append(torch.stack([loss_sum(one.train()) for _ in range(400)]))
    error = (means[0].var() / 400 + means[1].var() / 400).sqrt()
    assert abs(means[0].mean() - means[1].mean()) < 4 * error
    assert means[0].std() == pytest.approx(means[1].std().item(), rel=0.3)


def test_the_same_seed_gives_the_same_gradient(stock):
    model = quicken(stock).train()
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        model.zero_grad()
        loss_sum(model).backward()
        found.append([one.grad.clone() for one in model.parameters()])
    assert all(torch.equal(*both) for both in zip(*found, strict=True))


def test_parameters_and_names_stay(stock):
    before = {name: id(one) for name, one in stock.named_parameters()}
    keys = list(stock.state_dict())
    modules = [name for name, _ in stock.named_modules()]
    quicken(stock)
    assert {name: id(one) for name, one in stock.named_parameters()} == before
    assert list(stock.state_dict()) == keys
    assert [name for name, _ in stock.named_modules()] == modules


def test_what_is_saved_is_stock(stock, tmp_path):
    stock.save_pretrained(tmp_path / "stock")
    quicken(stock).save_pretrained(tmp_path / "quick")
    configs = [json.loads((tmp_path / name / "config.json").read_text()) for name in ("stock", "quick")]
    assert configs[0] == configs[1]
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "quick")
    assert loaded.config._attn_implementation == "sdpa"
    assert not any(isinstance(one, CheapDropout | AddingEmbedding | OneDnnLinear) for one in loaded.modules())
    assert torch.allclose(loaded(**batch()).logits, stock(**batch()).logits, atol=1e-5)


def test_copies_and_pickles_work(stock):
    model = quicken(stock)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(**batch()).logits, model(**batch()).logits)


def test_quickening_twice_changes_nothing_more(stock):
    once = [type(one) for one in quicken(stock).modules()]
    assert [type(one) for one in quicken(stock).modules()] == once


def test_each_kind_of_layer_is_exchanged():
    model = quicken(bert())
    kinds = {type(one) for one in model.modules()}
    assert {CheapDropout, AddingEmbedding} <= kinds
    assert not kinds & {nn.Dropout, nn.Embedding}
    assert model.config._attn_implementation == attention.NAME


def test_subclasses_and_other_attention_stay():
    class Own(nn.Linear):
        pass

    model = BertForSequenceClassification._from_config(BertConfig(**SMALL), attn_implementation="eager")
    model.classifier = Own(32, 2)
    quicken(model)
    assert type(model.classifier) is Own
    assert model.config._attn_implementation == "eager"


def test_a_shared_module_stays_shared():
    layer = nn.Linear(4, 4)
    model = quicken(nn.ModuleDict({"one": layer, "two": nn.Sequential(layer)}))
    assert model["one"] is model["two"][0]


def test_hooks_stay():
    model = nn.Sequential(nn.Dropout(0.5))
    seen = []
    model[0].register_forward_hook(lambda module, inputs, output: seen.append(type(module)))
    quicken(model)(torch.ones(3))
    assert seen == [CheapDropout]


def test_gradient_checkpointing_gives_the_same_gradient():
    torch.manual_seed(0)
    model = quicken(bert()).train()
    found = []
    for on in (False, True):
        if on:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.zero_grad()
        torch.manual_seed(3)
        loss_sum(model).backward()
        found.append([one.grad.clone() for one in model.parameters()])
    assert all(torch.allclose(*both, atol=1e-6) for both in zip(*found, strict=True))
