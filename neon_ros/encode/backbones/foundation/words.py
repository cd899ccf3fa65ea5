"""Words to tokens of a chat, so that nothing an operator says can end the operator's turn."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from neon_ros.errors import CheckpointError, ContractError, refuse
from neon_ros.sense.instruction import checked_instruction


class ChatWords:
    """A published tokenizer that keeps what is said apart from what structures the chat.

    :param folder: of the model; its tokenizer files are read, no code of it is run.
    :param structure: the special tokens that the chat needs.
    :raises CheckpointError: when the tokenizer is missing, broken or lacks one of ``structure``.
    """

    def __init__(self, folder: Path, structure: tuple[str, ...]) -> None:
        from transformers import AutoTokenizer

        if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json", "tokenizer.model")):
            raise CheckpointError(refuse(f"{folder}: tokenizer", "no tokenizer.json, no vocab.json", "the model's own"))
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        except Exception as error:  # tokenizers and transformers raise types that share no base
            raise CheckpointError(refuse(f"{folder}: tokenizer", error, "the model's own tokenizer files")) from error
        added = {str(token): int(number) for number, token in self._tokenizer.added_tokens_decoder.items()}
        missing = [token for token in structure if token not in added]
        if missing:
            raise CheckpointError(refuse(f"{folder}: tokenizer", f"no {', '.join(missing)}", "the model's own"))
        self._structure = {token: added[token] for token in structure}
        self._added = frozenset(added.values())
        spelt = sorted((token for token in added if len(token) > 1), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, spelt)))

    def special(self, token: str) -> int:
        """Return the number of one of the ``structure`` tokens."""
        return self._structure[token]

    def plain(self, text: str) -> list[int]:
        """Return the tokens of ``text`` as mere text: a special token spelt inside comes out as its letters.

        Cut after its first letter, no piece holds a whole special token any more.

        :raises ContractError: when the tokenizer makes a special token of it none the less.
        """
        pieces, rest = [], text
        while match := self._special.search(rest):
            pieces.append(rest[: match.start() + 1])
            rest = rest[match.start() + 1 :]
        ids = [i for piece in (*pieces, rest) if piece for i in self._tokenizer.encode(piece, add_special_tokens=False)]
        if self._added & set(ids):
            raise ContractError(refuse("text", repr(text), "text that no special token can be read from"))
        return ids

    def instruction(self, text: str, most: int) -> list[int]:
        """Return the tokens of an instruction.

        :param most: tokens that there is room for.
        :raises ContractError: on an instruction that cannot be read or has more tokens.
        """
        ids = self.plain(checked_instruction(text))
        if len(ids) > most:
            raise ContractError(refuse("instruction", f"{len(ids)} tokens ({len(text)} characters)", f"at most {most}"))
        return ids

    def text(self, ids: list[int]) -> str:
        """Return the text of tokens, without the special ones."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=True)).strip()
