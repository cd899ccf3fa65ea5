"""How each task of the suite is said: word orders with the slots ``{hand}`` and ``{object}``, to train on and held out.

Push and lift name no hand: the place of the mark decides which hand pushes, and lifting takes both.
"""

from __future__ import annotations

PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "point_at": {
        "train": (
            "point at {object} with your {hand} hand",
            "point to {object} with your {hand} hand",
            "with your {hand} hand, point at {object}",
            "use your {hand} hand to point at {object}",
            "point your {hand} hand at {object}",
            "show me {object} with your {hand} hand",
            "indicate {object} with the {hand} hand",
            "using the {hand} hand, point to {object}",
            "please point at {object} with your {hand} hand",
            "could you point to {object} with your {hand} hand?",
            "{hand} hand: point at {object}",
            "point at {object}, {hand} hand",
            "find {object} and point at it with your {hand} hand",
            "now point at {object} using your {hand} hand",
            "aim your {hand} hand at {object}",
        ),
        "heldout": (
            "where is {object}? point it out with the {hand} hand",
            "let your {hand} hand show where {object} is",
            "direct the fingers of your {hand} hand at {object}",
            "I want you pointing at {object} with that {hand} hand",
        ),
    },
    "push": {
        "train": (
            "push {object} to the mark",
            "push {object} onto the mark",
            "slide {object} to the mark",
            "slide {object} onto the mark",
            "move {object} to the mark",
            "shove {object} onto the mark",
            "please push {object} onto the mark",
            "could you slide {object} to the mark?",
            "push {object} until it is on the mark",
            "now push {object} to the mark",
            "find {object} and push it onto the mark",
            "bring {object} to the mark by pushing it",
            "the mark is where {object} belongs: push it there",
            "I would like you to push {object} to the mark",
        ),
        "heldout": (
            "get {object} over to the mark",
            "nudge {object} along until it covers the mark",
            "{object} should end up on the mark",
            "would you mind sliding {object} across to that mark",
        ),
    },
    "lift": {
        "train": (
            "lift {object} with both hands",
            "pick up {object} with both hands",
            "raise {object} with both hands",
            "with both hands, lift {object}",
            "use both hands to lift {object}",
            "use two hands to pick up {object}",
            "lift up {object} using both hands",
            "please lift {object} with both hands",
            "could you pick up {object} with both hands?",
            "now lift {object} with two hands",
            "take {object} between your hands and lift it",
            "find {object} and lift it with both hands",
            "both hands: lift {object}",
        ),
        "heldout": (
            "get {object} off the table with both of your hands",
            "hold {object} up between your two hands",
            "I want {object} in the air, both hands on it",
            "hoist {object}, one hand on each side",
        ),
    },
    "follow": {
        "train": (
            "follow {object} with your {hand} hand",
            "with your {hand} hand, follow {object}",
            "use your {hand} hand to follow {object}",
            "keep your {hand} hand above {object}",
            "keep your {hand} hand over {object}",
            "track {object} with your {hand} hand",
            "hold your {hand} hand above {object} as it moves",
            "please follow {object} with your {hand} hand",
            "could you follow {object} with your {hand} hand?",
            "{hand} hand: follow {object}",
            "let your {hand} hand follow {object}",
            "stay above {object} with your {hand} hand",
            "find {object} and follow it with your {hand} hand",
        ),
        "heldout": (
            "wherever {object} goes, your {hand} hand goes too",
            "hover over {object} with the {hand} hand",
            "do not lose {object}: keep the {hand} hand on top of it",
            "shadow {object} using that {hand} hand of yours",
        ),
    },
    "walk_touch": {
        "train": (
            "walk to the table and touch {object} with your {hand} hand",
            "go to the table and touch {object} with your {hand} hand",
            "walk over and touch {object} with your {hand} hand",
            "walk up to {object} and touch it with your {hand} hand",
            "go and touch {object} with your {hand} hand",
            "go over to {object} and put your {hand} hand on it",
            "step up to the table and tap {object} with your {hand} hand",
            "please walk to the table and touch {object} with your {hand} hand",
            "could you walk over and tap {object} with your {hand} hand?",
            "walk to {object}, then touch it with your {hand} hand",
            "walk to the table; {hand} hand on {object}",
            "approach the table and touch {object} using your {hand} hand",
        ),
        "heldout": (
            "head for the table and lay the {hand} hand on {object}",
            "come to the table, I want your {hand} hand on {object}",
            "make your way to {object} and feel it with the {hand} hand",
            "{object} is over there: walk up and reach it with the {hand} hand",
        ),
    },
}
"""Word orders of each task but touch, by split."""
