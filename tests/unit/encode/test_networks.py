"""The trainable encoders: order and padding of points do not matter, every weight learns."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from neon_ros.encode.networks import EefNet, LidarNet, ProprioNet, RmsNorm, relu2  # noqa: E402


def test_points_are_a_set() -> None:
    net = LidarNet()
    points, mask = torch.randn(2, 40, 3), torch.ones(2, 40)
    order = torch.randperm(40)
    torch.testing.assert_close(net(points[:, order], mask), net(points, mask))


def test_padding_points_do_not_matter() -> None:
    net = LidarNet()
    points = torch.randn(1, 40, 3)
    mask = torch.ones(1, 60)
    mask[:, 40:] = 0
    padded = torch.cat([points, torch.full((1, 20, 3), 7.0)], 1)
    torch.testing.assert_close(net(padded, mask), net(points, mask[:, :40]))


def test_an_empty_cloud_is_finite_and_learns() -> None:
    net = LidarNet()
    features = net(torch.zeros(3, 1, 3), torch.zeros(3, 1))
    assert torch.isfinite(features).all()
    features.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("net", "inputs"),
    [
        (ProprioNet, (torch.randn(4, 64),)),
        (LidarNet, (torch.randn(4, 9, 3), torch.ones(4, 9))),
        (EefNet, (torch.randn(4, 18),)),
    ],
)
def test_every_weight_has_a_gradient(net: type, inputs: tuple) -> None:
    torch.manual_seed(0)
    module = net()
    (module(*inputs) * torch.randn(module(*inputs).shape)).sum().backward()
    dead = [name for name, p in module.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not dead


def test_the_norm_makes_size_one_and_the_square_keeps_sign_out() -> None:
    size = RmsNorm(64)(torch.randn(5, 64) * 30).pow(2).mean(-1)
    torch.testing.assert_close(size, torch.ones(5), atol=1e-3, rtol=0)
    torch.testing.assert_close(relu2(torch.tensor([-2.0, 0.0, 3.0])), torch.tensor([0.0, 0.0, 9.0]))
