"""The helping losses look where they should: colour slot at colours, shape slot at shapes."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from neon_ros.act.networks.grounding import Grounded  # noqa: E402
from neon_ros.learn.losses import (  # noqa: E402
    Truth,
    attention_loss,
    corners,
    far_from_all,
    match_loss,
    place_loss,
)

ROWS, COLUMNS = 8, 14


def truth(seen: float = 1.0) -> Truth:
    """Return three things of which 0 is the target, 1 has its colour and 2 its shape."""
    return Truth(
        place=torch.tensor([[0.3, 0.1, 0.0]]),
        target=torch.tensor([0]),
        seen=torch.full((1, 3), seen),
        uv=(torch.tensor([[[2.5, 1.5], [7.5, 3.5], [11.5, 6.5]]]) / torch.tensor([COLUMNS, ROWS])),
        same=torch.tensor([[[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]]),
    )


def grounded(match: torch.Tensor) -> Grounded:
    attention = torch.softmax(torch.nn.functional.logsigmoid(match).sum(1), -1)
    nothing = torch.zeros(1)
    return Grounded(nothing, nothing, nothing, match, attention)


def logits(slot_things: list[list[int]]) -> torch.Tensor:
    match = torch.full((1, 2, ROWS * COLUMNS), -9.0)
    for slot, things in enumerate(slot_things):
        for thing in things:
            x, y = (truth().uv[0, thing] * torch.tensor([COLUMNS, ROWS])).long()
            match[0, slot, y * COLUMNS + x] = 9.0
    return match


def test_corners_share_a_place_among_four_tokens() -> None:
    shares = corners(torch.tensor([[0.5 / COLUMNS, 0.5 / ROWS], [0.5, 0.5], [1.0, 1.0]]), ROWS, COLUMNS)
    torch.testing.assert_close(shares.sum(-1), torch.ones(3))
    assert shares[0, 0] == 1
    assert (shares[1] > 0.2).sum() == 4
    assert shares[2, -1] == 1


def test_the_background_is_far_from_all_that_is_seen() -> None:
    far = far_from_all(truth().uv, truth().seen, ROWS, COLUMNS)
    for thing in range(3):
        x, y = (truth().uv[0, thing] * torch.tensor([COLUMNS, ROWS])).long()
        assert not far[0, y * COLUMNS + x]
    assert far[0, 0 * COLUMNS + 13]
    assert far_from_all(truth().uv, torch.zeros(1, 3), ROWS, COLUMNS).all()


def test_slots_that_know_colour_and_shape_cost_nothing() -> None:
    shares, far = corners(truth().uv, ROWS, COLUMNS), far_from_all(truth().uv, truth().seen, ROWS, COLUMNS)
    right = match_loss(grounded(logits([[0, 1], [0, 2]])), truth(), shares, far)
    swapped = match_loss(grounded(logits([[0, 2], [0, 1]])), truth(), shares, far)
    everything = match_loss(grounded(torch.full((1, 2, ROWS * COLUMNS), 9.0)), truth(), shares, far)
    assert right < 0.001
    assert swapped > 5
    assert everything > 5


def test_the_product_of_both_slots_is_the_target() -> None:
    both = grounded(logits([[0, 1], [0, 2]]))
    assert both.attention[0].argmax() == 1 * COLUMNS + 2
    assert attention_loss(both, truth(), corners(truth().uv, ROWS, COLUMNS)) < 0.02
    other = grounded(logits([[1], [1]]))
    assert attention_loss(other, truth(), corners(truth().uv, ROWS, COLUMNS)) > 5


def test_what_is_out_of_the_picture_is_not_asked_for() -> None:
    unseen = truth(seen=0.0)
    shares, far = corners(unseen.uv, ROWS, COLUMNS), torch.zeros(1, ROWS * COLUMNS, dtype=torch.bool)
    match = grounded(torch.randn(1, 2, ROWS * COLUMNS))
    said = torch.zeros(1, 3)
    assert match_loss(match, unseen, shares, far) == 0
    assert attention_loss(match, unseen, shares) == 0
    assert place_loss(said, unseen) == 0
    assert place_loss(said, truth()) == pytest.approx((3 + 1) / 3)
