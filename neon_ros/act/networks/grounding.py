"""From words to a place in the picture: each slot of the sentence scores each picture token, and the scores multiply.

The sentence is read into three slots by attention over its words: two that say *what* (they come to mean colour and
shape) and one that says *how* (the hand).  Each *what* slot gives a match probability per picture token, from its own
projection; the target is where both match.  As neither slot sees the other, a pair of words that never occurred
together still finds its thing: a product of experts, not a look-up of sentences.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from neon_ros.encode.networks import ResidualBlock, RmsNorm

WIDTH = 64
WORD = 32
KEY = 24
VALUE = 32
WHAT_SLOTS = 2
SCENE_HEADS = 3


class Grounded(NamedTuple):
    """What grounding found.

    :param places: expected place per attention head, x and y from -1 to 1 (B, 4, 2); the target is the first.
    :param values: what is there (B, 4, 32).
    :param how: the slot of the sentence that does not look (B, 32).
    :param match: logit per *what* slot and token (B, 2, T).
    :param attention: of the target over tokens (B, T).
    """

    places: Tensor
    values: Tensor
    how: Tensor
    match: Tensor
    attention: Tensor


class WordSlots(nn.Module):
    """Read a sentence into slots, each a mean of its words weighted by a learned query."""

    def __init__(self, text_size: int, slots: int) -> None:
        """Build for words of ``text_size`` values."""
        super().__init__()
        self.register_buffer("text_mean", torch.zeros(text_size))
        self.register_buffer("text_std", torch.ones(text_size))
        self.query = nn.Linear(text_size, slots)
        self.value = nn.ModuleList(nn.Linear(text_size, WORD) for _ in range(slots))
        self.norm = RmsNorm(WORD)
        self.absent = nn.Parameter(torch.randn(slots, WORD) * 0.1)

    def forward(self, text: Tensor, text_mask: Tensor) -> Tensor:
        """Return the slots (B, S, 32); learned ones where there are no words.

        :param text: (B, L, E).
        :param text_mask: (B, L), 1 for a word.
        """
        words = (text - self.text_mean) / self.text_std  # (B, L, E)
        score = self.query(words).transpose(1, 2) - 1e4 * (1.0 - text_mask).unsqueeze(1)  # (B, S, L)
        weight = torch.softmax(score, -1)
        mean = torch.matmul(weight, words)  # (B, S, E)
        slots = torch.stack([value(mean[:, s]) for s, value in enumerate(self.value)], 1)  # (B, S, 32)
        spoken = text_mask.amax(1).view(-1, 1, 1)  # (B, 1, 1)
        mixed: Tensor = spoken * self.norm(slots) + (1.0 - spoken) * self.absent
        return mixed


class Grounding(nn.Module):
    """Find the thing that is spoken of."""

    def __init__(self, rows: int, columns: int, channels: int, text_size: int) -> None:
        """Build for a grid of ``rows`` x ``columns`` picture tokens of ``channels`` values."""
        super().__init__()
        tokens = rows * columns
        self.register_buffer("vision_mean", torch.zeros(channels))
        self.register_buffer("vision_std", torch.ones(channels))
        y, x = torch.meshgrid(
            (torch.arange(rows) + 0.5) / rows * 2 - 1, (torch.arange(columns) + 0.5) / columns * 2 - 1, indexing="ij"
        )
        self.register_buffer("grid", torch.stack([x.flatten(), y.flatten()], -1))  # (T, 2)
        self.enter = nn.Linear(channels, WIDTH)
        self.position = nn.Parameter(torch.randn(tokens, WIDTH) * 0.02)
        self.block = ResidualBlock(WIDTH, 2 * WIDTH)
        self.norm = RmsNorm(WIDTH)
        self.words = WordSlots(text_size, WHAT_SLOTS + 1)
        self.ask = nn.ModuleList(nn.Linear(WORD, KEY) for _ in range(WHAT_SLOTS))
        self.key = nn.ModuleList(nn.Linear(WIDTH, KEY) for _ in range(WHAT_SLOTS))
        self.bias = nn.Parameter(torch.full((WHAT_SLOTS,), -1.0))
        self.sharpness = nn.Parameter(torch.full((1,), 1.5))
        self.scene = nn.Linear(WIDTH, SCENE_HEADS)
        self.detail = ResidualBlock(WIDTH)
        self.value = nn.Linear(WIDTH, VALUE)

    def forward(self, vision: Tensor, text: Tensor, text_mask: Tensor, sentences: int = 1) -> Grounded:
        """Return where and what; see :class:`Grounded`.

        :param vision: (B, T, C).
        :param text: (B R, L, E): R sentences about each picture.
        :param text_mask: (B R, L).
        :param sentences: R; the pictures are looked at once.
        """

        def shared(x: Tensor) -> Tensor:
            return x if sentences == 1 else x.repeat_interleave(sentences, 0)

        h = self.enter((vision - self.vision_mean) / self.vision_std)  # (B, T, W)
        plain = self.norm(self.block(h))  # what it looks like, wherever it is
        slots = self.words(text, text_mask)  # (B, 3, 32)
        match = torch.stack(
            [
                torch.matmul(shared(self.key[s](plain)), self.ask[s](slots[:, s]).unsqueeze(-1)).squeeze(-1) * KEY**-0.5
                + self.bias[s]
                for s in range(WHAT_SLOTS)
            ],
            1,
        )  # (B, 2, T)
        both = functional.logsigmoid(match).sum(1)  # (B, T), log of the product of the experts
        attention = torch.softmax(both * self.sharpness, -1)  # (B, T)
        scene = torch.softmax(self.scene(plain).transpose(1, 2), -1)  # (B, 3, T), looks at whatever helps
        heads = torch.cat([attention.unsqueeze(1), shared(scene)], 1)  # (B, 4, T)
        places = torch.matmul(heads, self.grid)  # (B, 4, 2)
        values = torch.matmul(heads, shared(self.value(self.detail(plain + self.position))))  # (B, 4, V)
        return Grounded(places, values, slots[:, WHAT_SLOTS], match, attention)
