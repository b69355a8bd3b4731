"""The ticket network: a row's answer is its own, and its parts see what they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from frontdesk.preprocessing.encoding import Encoder
from frontdesk.ticket.network import NetworkConfig, TicketNetwork
from tests.small_network import small_spec

SPEC = small_spec()


@pytest.fixture(scope="module")
def network() -> TicketNetwork:
    """A network with random weights everywhere."""
    torch.manual_seed(3)
    made = TicketNetwork(NetworkConfig.of(SPEC, embedding=4, filters=5, hidden=6), SPEC)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.3)
        made.words.weight[0] = 0
    return made.eval()


def inputs(rows: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return random rows, one of them of full length and one without a word."""
    draw = np.random.default_rng(tokens)
    ids = draw.integers(1, SPEC.vocabulary_size, (rows, tokens))
    for row in range(1, rows):
        ids[row, draw.integers(0, tokens) :] = 0
    ids[-1] = 0
    categories, numbers = draw.integers(0, 5, (rows, 2)), draw.normal(60, 1e3, (rows, 2))
    return torch.from_numpy(ids), torch.from_numpy(categories), torch.from_numpy(numbers)


@settings(max_examples=20)
@given(st.integers(2, 6), st.integers(2, 24))
def test_a_rows_answer_does_not_depend_on_its_neighbours_or_padding(
    network: TicketNetwork, rows: int, tokens: int
) -> None:
    ids, categories, numbers = inputs(rows, tokens)
    padded = torch.nn.functional.pad(ids, (0, 7))
    with torch.no_grad():
        together = network(padded, categories, numbers)
        for row in range(rows):
            one = slice(row, row + 1)
            length = max(int((ids[row] != 0).sum()), 1)
            alone = network(ids[one, :length], categories[one], numbers[one])
            for head, logits in alone.items():
                torch.testing.assert_close(logits[0], together[head][row], atol=1e-5, rtol=1e-5)


def test_the_wide_path_is_sublinear_tfidf_of_words_and_phrases() -> None:
    network = TicketNetwork(NetworkConfig.of(SPEC), SPEC)
    text = "word1 word2 word1 word1 nothing word7"
    ids = torch.tensor([Encoder(SPEC).word_ids(text)])
    feature, begin, weight = network.wide(ids)
    assert begin.tolist() == [0]
    weights = dict(zip(feature.tolist(), weight.tolist(), strict=True))
    words = {place: value for place, value in weights.items() if place < SPEC.vocabulary_size}
    assert sorted(words) == [3, 4, 9], "padding and unknown words are no features"
    vectoriser = TfidfVectorizer(vocabulary=list(SPEC.vocabulary), sublinear_tf=True, norm=None)
    vectoriser.idf_ = network.wide.idf[2 : SPEC.vocabulary_size].numpy()
    expected = vectoriser.transform([text]).toarray()[0]
    ratio = {place: value / expected[place - 2] for place, value in words.items()}
    assert np.ptp(list(ratio.values())) < 1e-6
    assert sum(value**2 for value in weights.values()) == pytest.approx(1.0)


def test_the_reply_sees_the_contact_type_but_does_not_pull_at_it(network: TicketNetwork) -> None:
    ids, categories, numbers = inputs(3, 8)
    network.zero_grad()
    network(ids, categories, numbers)["reply"].sum().backward()
    assert network.state is not None
    assert network.state.weight.grad is not None
    assert network.outputs["contact_type"].weight.grad is None
    network.zero_grad()


def test_a_huge_number_is_clipped(network: TicketNetwork) -> None:
    ids, categories, numbers = inputs(2, 8)
    with torch.no_grad():
        huge = network(ids, categories, torch.full_like(numbers, 1e308))
        tall = network(ids, categories, torch.full_like(numbers, 1e30))
    for head, logits in huge.items():
        assert torch.isfinite(logits).all()
        torch.testing.assert_close(logits, tall[head])


def test_many_labels_get_a_factorised_wide_path() -> None:
    spec = small_spec(contact_types=300)
    network = TicketNetwork(NetworkConfig.of(spec, wide_rank=16), spec)
    assert network.wide_tables["contact_type"].weight.shape[1] == 16
    assert network.wide_outputs["contact_type"].weight.shape == (300, 16)
    assert "reply" not in network.wide_outputs
