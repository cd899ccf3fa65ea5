"""The heads as networks: each learns, in every mode, on every weight; what is given stays given; sizes are as said."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neon_ros.act.networks.config import ACTIONS, EMBODIMENTS, PREFIX, SIZES, HeadConfig, head_config  # noqa: E402
from neon_ros.act.networks.flow import LATEST, FlowHead, drawn_time  # noqa: E402
from neon_ros.act.networks.fusion import TOKENS, Context  # noqa: E402
from neon_ros.act.networks.grounding import Grounded  # noqa: E402
from neon_ros.act.networks.head import ActionHead, Chance  # noqa: E402
from neon_ros.act.networks.inpainting import inpaint, overlap_weights  # noqa: E402
from neon_ros.act.networks.layers import Style  # noqa: E402
from neon_ros.act.networks.model import NeonModel, count_parameters  # noqa: E402
from neon_ros.errors import ConfigError, ContractError  # noqa: E402
from neon_ros.robot.joints import joint_indices  # noqa: E402
from neon_ros.robot.modes import MODES  # noqa: E402

FIGURES = {"mlp": 2e6, "flow_matching": 4e6, "dit": 6e6, "state_relative": 3e6, "ensemble": 8e6}
HEADS = tuple(FIGURES)
NEW = HEADS[1:]
SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"prefix": 32},
    "flow_matching": {"width": 48, "hidden": 96, "blocks": 2, "attention": 4},
    "dit": {"width": 48, "hidden": 96, "blocks": 2, "attention": 4, "context": 16},
    "state_relative": {"width": 96, "hidden": 96, "blocks": 2},
    "ensemble": {"width": 96, "hidden": 64, "experts": 4, "top_k": 2},
}
POOLED = 48
PICTURE = {"pooled": POOLED, "rows": 2, "columns": 3, "channels": 8, "words": 5, "text_size": 12}


def small(head: str, mode: str = "upper_body", **changes: Any) -> HeadConfig:
    indices = tuple(int(i) for i in joint_indices(MODES[mode].joint_names))
    return head_config(head, indices, **{**PICTURE, **SMALL[head], **changes})


def captures(config: HeadConfig, count: int, seed: int = 0) -> dict[str, Any]:
    """Return raw inputs of ``count`` captures, some modalities of some of them absent."""
    generator = np.random.default_rng(seed)

    def normal(*shape: int) -> Any:
        return torch.from_numpy(generator.standard_normal((count, *shape), dtype=np.float32))

    present = torch.from_numpy((generator.random((count, 4)) < 0.7).astype(np.float32))
    spoken = torch.from_numpy((generator.random((count, 1)) < 0.8).astype(np.float32))
    return {
        "vision": normal(config.rows * config.columns, config.channels),
        "text": normal(config.words, config.text_size),
        "text_mask": (normal(config.words) > -0.5).float() * spoken,
        "proprio": normal(64),
        "points": normal(7, 3),
        "mask": torch.ones(count, 7),
        "eef": normal(18),
        "q": 0.2 * normal(29),
        "present": present,
        "age": 0.1 * present,
    }


def told(pooled: Any, here: Any, head: ActionHead) -> Context:
    """Return a context without a picture."""
    nothing = torch.zeros(len(pooled), 1)
    width = head.config.context
    tokens = pooled[:, : TOKENS * 2].view(-1, TOKENS, 2).repeat(1, 1, max(1, width // 2))[..., :width]
    return Context(pooled, tokens, here, nothing, Grounded(nothing, nothing, nothing, nothing, nothing))


def chance(count: int, seed: int, committed: int = 0) -> Chance:
    generator = np.random.default_rng(seed)
    noise = torch.from_numpy(generator.standard_normal((count, 16, ACTIONS), dtype=np.float32))
    time = torch.from_numpy(generator.random(count, dtype=np.float32))
    return Chance(noise, time, torch.from_numpy(generator.integers(0, committed + 1, count)))


def nothing() -> tuple[Any, Any]:
    return torch.zeros(1, 16, ACTIONS), torch.zeros(1, 16)


@pytest.mark.parametrize("head", HEADS)
def test_sizes_are_within_ten_percent_of_the_figures(head: str) -> None:
    reads_prefix = {"prefix": PREFIX} if head == "mlp" else {}
    model = NeonModel(head_config(head, tuple(range(12, 29)), **reads_prefix))
    size = count_parameters(model, ("head",))["head"]
    print(f"{head}: {size / 1e6:.2f} M of {FIGURES[head] / 1e6:.0f} M")
    assert 0.9 * FIGURES[head] <= size <= 1.1 * FIGURES[head]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("head", HEADS)
def test_every_weight_learns_in_every_mode_and_the_chunk_is_finite(head: str, mode: str) -> None:
    torch.manual_seed(0)
    config = small(head, mode)
    model = NeonModel(config)
    with torch.no_grad():  # what begins at zero lets nothing through
        for weight in model.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    context = model.context(captures(config, 24))
    actions = torch.randn(24, 16, ACTIONS) * model.head.acts
    loss = model.head.loss(context, actions, chance(24, 1, committed=6))
    (loss.total + context.place.square().sum()).backward()
    learned = {name: p.grad is not None and bool(p.grad.abs().sum() > 0) for name, p in model.named_parameters()}
    learned.pop("head.fusion.grounding.scene.bias")  # added to all places alike, and the softmax takes it away again
    assert all(learned.values()), [name for name, did in learned.items() if not did]
    with torch.no_grad():
        inputs = captures(config, 1)
        parts = [inputs[name] for name in ("vision", "text", "text_mask")]
        parts += [model.proprio(inputs["proprio"]), model.lidar(inputs["points"], inputs["mask"])]
        parts += [model.eef(inputs["eef"]), inputs["present"], inputs["age"], inputs["q"]]
        joints = len(config.joint_indices)
        extra = {"noise": (1, 16, joints + 3), "prefix": (1, 16, joints), "prefix_mask": (1, 16)}
        said = model.head(*parts, *(torch.zeros(extra[name]) for name in model.head.EXTRA_INPUTS))
    assert said[0].shape == (1, 16, joints)
    assert said[1].shape == (1, 16, 3)
    assert all(bool(torch.isfinite(value).all()) for value in said)


@functools.cache
def learned(head: str, style: Style | None = None, two_ways: bool = False) -> tuple[ActionHead, Any, Any]:
    """Return a head after a toy regression to joints at -0.9 to 0.9, a held-out context, and its truth.

    :param two_ways: the mirrored chunk is as good, and the context does not say which.
    """
    torch.manual_seed(1)
    config = small(head, context=16 if head == "dit" else 0)
    network = NeonModel(replace(config, style=style or config.style)).head
    network.scale.fill_(0.5)
    if hasattr(network, "bound"):
        network.bound.fill_(0.25)
    generator = np.random.default_rng(2)
    table = torch.from_numpy(generator.standard_normal((12, POOLED), dtype=np.float32))
    ends = 0.9 * torch.from_numpy(np.clip(generator.normal(0, 1.2, (12, ACTIONS)), -1, 1)).float()  # [rad]
    ramp = torch.linspace(1 / 16, 1, 16).view(1, 16, 1)

    def draw(count: int) -> tuple[Context, Any]:
        row = torch.from_numpy(generator.integers(0, 12, count))
        actions = ramp * ends[row].unsqueeze(1) / 0.5 * network.acts
        if two_ways:
            actions *= torch.from_numpy(generator.choice(np.float32([-1, 1]), (count, 1, 1)))
        return told(table[row], torch.zeros(count, 29), network), actions

    rate, steps = (1e-2 if head == "mlp" else 3e-3), 200
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, betas=(0.85, 0.99), weight_decay=0.0)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / steps)
        context, actions = draw(48)
        optimiser.zero_grad()
        network.loss(context, actions, chance(48, step, 6 if two_ways else 0)).total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    return network, *draw(200)


@pytest.mark.parametrize("head", HEADS)
def test_a_toy_is_learned_without_saturation_or_bias(head: str) -> None:
    network, context, truth = learned(head)
    with torch.no_grad():
        said = network.sample(context, chance(200, 9).noise * network.acts, *nothing())[0]
    moved = network.acts[:29].bool()
    got, wanted = ((x[:, -1, :29] * 0.5)[:, moved] for x in (said, truth))  # [rad]
    error = (got - wanted).abs().mean()
    assert error < 0.12, error
    for end in (-0.9, 0.9):
        at = (wanted - end).abs() < 1e-6
        assert at.sum() > 50
        assert abs(float(got[at].mean()) - end) < 0.08, (end, float(got[at].mean()))
    limit = network.config.style.cap * 0.5 or np.inf
    assert float((got.abs() > 0.98 * limit).float().mean()) < 0.01
    assert float((got.abs() > 1.2).float().mean()) < 0.01


def test_the_soft_cap_is_the_same_in_training_and_sampling() -> None:
    style = Style(cap=2.0)  # the toy's largest value is 1.8
    network, context, truth = learned("ensemble", style)
    with torch.no_grad():
        said = network.sample(context, torch.zeros(1, 16, ACTIONS), *nothing())[0]
    assert float(said.abs().max()) < 2.0
    far = truth.abs() > 1.75
    assert float((said[far].abs() - truth[far].abs()).mean()) > -0.2  # a cap at sampling only would lose 0.37


@pytest.mark.parametrize("head", HEADS)
def test_committed_steps_stay_and_the_rest_goes_on_from_them(head: str) -> None:
    torch.manual_seed(0)
    config = small(head)
    network = NeonModel(config).head
    context = told(torch.randn(1, POOLED), torch.zeros(1, 29), network)
    prefix, mask = nothing()
    mask[:, :5] = 1
    prefix[:, :5, 12:29] = 0.4 * torch.randn(1, 5, 17)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
        noise = torch.randn(1, 16, ACTIONS) * network.acts
        free = network.sample(context, noise, *nothing())[0]
        said = network.sample(context, noise, prefix, mask)[0]
    torch.testing.assert_close(said[:, :5], prefix[:, :5])
    assert (said[:, 5:] - free[:, 5:]).abs().max() > 1e-4
    if head == "state_relative":
        step = (said[:, 5] - prefix[:, 4])[..., :29] * network.scale[5]
        assert (step.abs() <= network.bound[5] + 1e-6).all()


def test_an_mlp_that_learned_to_read_committed_steps_says_the_same_without_them() -> None:
    torch.manual_seed(0)
    network = NeonModel(small("mlp")).head
    torch.nn.init.normal_(network.displace.weight)
    plain = NeonModel(small("mlp", prefix=0)).head
    plain.load_state_dict(network.state_dict(), strict=False)
    context = told(torch.randn(2, POOLED), torch.zeros(2, 29), network)
    noise = torch.zeros(1, 16, ACTIONS)
    assert torch.equal(network.sample(context, noise, *nothing())[0], plain.sample(context, noise, *nothing())[0])


@pytest.mark.parametrize("head", ["flow_matching", "dit"])
def test_the_loss_sees_nothing_of_committed_steps(head: str) -> None:
    torch.manual_seed(0)
    network = NeonModel(small(head)).head
    context = told(torch.randn(3, POOLED), torch.zeros(3, 29), network)
    actions = torch.randn(3, 16, ACTIONS) * network.acts
    given = chance(3, 0)._replace(committed=torch.full((3,), 4))
    other = given._replace(noise=torch.cat([torch.randn(3, 4, ACTIONS), given.noise[:, 4:]], 1))
    assert network.loss(context, actions, given).total == network.loss(context, actions, other).total


def test_times_lean_to_noise() -> None:
    time = drawn_time(torch.linspace(0, 1, 100_001))
    assert time.min() == 0
    assert time.max() == pytest.approx(LATEST)
    assert float(time.mean()) == pytest.approx(LATEST * (1 - 1.5 / 2.5), abs=1e-3)  # mean of Beta(1.5, 1) is 0.6


class Straight(FlowHead):
    """A head that knows one chunk and nothing else."""

    goal: Any

    def end(self, context: Context, x: Any, time: Any, committed: Any) -> Any:
        return self.goal


def straight(**changes: Any) -> tuple[Straight, Context]:
    torch.manual_seed(3)
    head = Straight(small("flow_matching", **changes))
    head.goal = torch.randn(1, 16, ACTIONS) * head.acts
    return head, told(torch.zeros(1, POOLED), torch.zeros(1, 29), head)


@pytest.mark.parametrize("solver", ["euler", "midpoint"])
@pytest.mark.parametrize("steps", [1, 4, 5])
def test_a_straight_line_is_followed_in_any_number_of_steps(solver: str, steps: int) -> None:
    head, context = straight(solver=solver, denoising=steps)
    said = head.sample(context, torch.randn(1, 16, ACTIONS) * head.acts, *nothing())[0]
    torch.testing.assert_close(said, head.goal, atol=1e-5, rtol=0)


def test_a_look_draws_a_wrong_draft_to_the_heads_own_chunk() -> None:
    head, context = straight()
    noise = torch.randn(1, 16, ACTIONS) * head.acts
    for draft in (head.goal, head.goal + head.acts):
        torch.testing.assert_close(head.judge(context, draft, noise, 0.75), head.goal, atol=1e-5, rtol=0)


def test_overlap_weights_are_those_of_the_paper() -> None:
    weights = overlap_weights(16, 3, 5)
    assert weights[:3].tolist() == [1, 1, 1]
    assert weights[11:].tolist() == [0] * 5
    assert bool((weights[2:11].diff() < 0).all())
    c = (16 - 5 - 3) / (16 - 5 - 3 + 1)
    assert float(weights[3]) == pytest.approx(c * (np.e**c - 1) / (np.e - 1), rel=1e-5)
    with pytest.raises(ContractError, match=r"delay and executed steps: got \(12, 5\)"):
        overlap_weights(16, 12, 5)


def agreement(said: Any, truth: Any) -> float:
    """Return the share of chunks that go the way of the truth, not the mirrored one."""
    return float(((said * truth)[:, 6:].sum((1, 2)) > 0).float().mean())


def test_of_two_ways_the_one_that_was_begun_is_gone_on() -> None:
    network, context, truth = learned("flow_matching", two_ways=True)
    noise = chance(200, 4).noise * network.acts
    with torch.no_grad():
        free = network.sample(context, noise, *nothing())[0]
        mask = torch.zeros(200, 16)
        mask[:, :4] = 1
        trained = network.sample(context, noise, truth * mask.unsqueeze(-1), mask)[0]
    guided = inpaint(network, context, noise, truth, overlap_weights(16, 4, 6))
    assert not guided.requires_grad
    assert 0.3 < agreement(free, truth) < 0.7
    assert float(free[:, -1].abs().mean() / truth[:, -1].abs().mean()) > 0.6, "a mean of both ways is no way"
    assert agreement(trained, truth) > 0.95
    assert agreement(guided, truth) > 0.9
    torch.testing.assert_close(inpaint(network, context, noise, truth, torch.zeros(16)), free, atol=1e-4, rtol=0)


def test_steps_are_bounded_whatever_the_weights() -> None:
    torch.manual_seed(0)
    network = NeonModel(small("state_relative")).head
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(30.0)
        said = network.sample(told(torch.randn(9, POOLED), torch.randn(9, 29), network), *nothing()[:1], *nothing())[0]
    path = torch.cat([torch.zeros(9, 1, 29), said[..., :29] * network.scale], 1)
    steps = path.diff(dim=1).abs()
    assert (steps <= network.bound + 1e-6).all()
    assert steps.max() > 0.9 * network.bound.max()


def test_another_embodiment_is_learned_by_its_own_small_layers_alone() -> None:
    network, context, truth = learned("state_relative")
    torch.manual_seed(4)
    kept = [i for i in range(12, 29) if i not in (13, 14, 20, 21, 27, 28)]  # 23 DoF: no waist roll and pitch, no wrists
    other = NeonModel(replace(network.config, joint_indices=tuple(kept), embodiment=EMBODIMENTS[1])).head
    own = {name: value for name, value in other.state_dict().items() if name in ("acts", "pick", "embodiment")}
    other.load_state_dict({**network.state_dict(), **own, "fusion.moved": other.fusion.moved})
    with torch.no_grad():  # the first embodiment's layers are where the new one begins
        for weight in other.own_layers():
            weight[1] = weight[0] + 0.05 * torch.randn_like(weight[0])
    turned = truth.clone()
    turned[..., 15] = -truth[..., 15]  # this robot's shoulder counts the other way round
    turned *= other.acts

    def error() -> float:
        with torch.no_grad():
            said = other.sample(context, *nothing()[:1], *nothing())[0]
        return float(other.error(said[100:], turned[100:]))

    before = error()
    shared = {name: p.clone() for name, p in other.named_parameters()}
    some = Context(*(value[:100] if torch.is_tensor(value) else value for value in context))
    optimiser = torch.optim.Adam(other.own_layers(), lr=1e-2)
    for step in range(60):
        optimiser.zero_grad()
        other.loss(some, turned[:100], chance(100, step)).total.backward()
        optimiser.step()
    assert error() < 0.6 * before, (before, error())
    changed = {name for name, p in other.named_parameters() if not torch.equal(p, shared[name])}
    assert changed == {"state_in", "step_out", "step_bias"} - ({"state_in"} if not context.here.any() else set())


def test_experts_compute_only_their_own_samples_and_the_gate_says_so() -> None:
    torch.manual_seed(0)
    network = NeonModel(small("ensemble")).head
    context = told(torch.randn(40, POOLED), torch.zeros(40, 29), network)
    with torch.no_grad():
        said, gate = network.sample(context, *nothing()[:1], *nothing())
        assert ((gate > 0).sum(1) == 2).all()
        torch.testing.assert_close(gate.sum(1), torch.ones(40))
        used = {int(i) for i in (gate[0] > 0).nonzero().flatten()}
        one = Context(*(value[:1] if torch.is_tensor(value) else value for value in context))
        alone, same = network.sample(one, *nothing()[:1], *nothing())
        torch.testing.assert_close(alone, said[:1])
        torch.testing.assert_close(same, gate[:1])
        for expert in set(range(4)) - used:  # what sleeps may be anything
            network.experts.up[expert] = torch.nan
        torch.testing.assert_close(network.sample(one, *nothing()[:1], *nothing())[0], said[:1])


def test_the_load_is_balanced() -> None:
    network, _, _ = learned("ensemble")
    context = told(torch.randn(500, POOLED), torch.zeros(500, 29), network)
    with torch.no_grad():
        gate = network.sample(context, *nothing()[:1], *nothing())[1]
    share = (gate > 0).float().mean(0) / 2
    assert float(share.min()) > 0.05, share


@pytest.mark.parametrize("without", ["relu2", "rms_norm", "residual_scale", "skips", "cap"])
@pytest.mark.parametrize("head", HEADS)
def test_each_refinement_can_be_left_out(head: str, without: str) -> None:
    style = replace(Style(), **{without: 0.0 if without == "cap" else False})
    config = small(head, style=style, fusion_style=style)
    network = NeonModel(config).head
    context = told(torch.randn(2, POOLED), torch.zeros(2, 29), network)
    assert torch.isfinite(network.loss(context, torch.randn(2, 16, ACTIONS), chance(2, 0)).total)
    whole = sum(p.numel() for p in NeonModel(replace(config, style=Style(), fusion_style=Style())).head.parameters())
    fewer = sum(p.numel() for p in network.parameters())
    assert (fewer < whole) == (without in ("residual_scale", "skips")) or without == "rms_norm"


def test_fusion_knows_what_is_absent_by_learned_tokens_and_ages() -> None:
    torch.manual_seed(0)
    config = small("dit")
    model = NeonModel(config)
    inputs = captures(config, 1)
    inputs["present"] = torch.ones(1, 4)
    with torch.no_grad():
        base = model.context(inputs)
        for index, name in enumerate(("vision", "points", "proprio", "eef")):
            absent = {**inputs, "present": torch.ones(1, 4).index_fill(1, torch.tensor([index]), 0.0)}
            lost = model.context(absent)
            assert (lost.tokens - base.tokens).abs().max() > 1e-3
            if name != "vision":  # its value no longer matters, the picture still says where the hand looked
                again = model.context({**absent, name: absent[name] + 1.0})
                torch.testing.assert_close(again.pooled, lost.pooled)
                torch.testing.assert_close(again.tokens, lost.tokens)
        older = model.context({**inputs, "age": inputs["age"] + 0.3})
        assert (older.tokens - base.tokens).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": "gpt"}, "head: got gpt; allowed: mlp, flow_matching"),
        ({"joint_indices": (3, 3)}, r"joint_indices: got \(3, 3\)"),
        ({"joint_indices": (29,)}, r"joint_indices: got \(29,\)"),
        ({"head": "dit", "denoising": 0}, "denoising: got 0; allowed: 1 to 10"),
        ({"head": "ensemble", "experts": 2, "top_k": 3}, "top_k: got 3; allowed: 1 to the number of experts, 2"),
        ({"solver": "heun"}, "solver: got heun; allowed: euler, midpoint"),
        ({"embodiment": "h1"}, "embodiment: got h1; allowed: g1_29dof"),
        ({"width": 0}, "width: got 0"),
    ],
)
def test_shapes_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        HeadConfig(**{"joint_indices": (12,), **changes})
    assert set(SIZES) == set(HEADS)


def test_heads_of_attention_must_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="attention heads: got 5; allowed: a divisor of the width 48"):
        NeonModel(small("dit", attention=5))
    with pytest.raises(ConfigError, match="style.cap: got -1"):
        Style(cap=-1)
