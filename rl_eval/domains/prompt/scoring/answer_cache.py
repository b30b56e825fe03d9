"""Answers of a model by the hashes of their requests, kept in a file of JSON lines if one is named."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from rl_eval.domains.prompt.scoring.scores import is_cut_off
from rl_eval.errors import InputError
from rl_eval.formatting import escape_controls
from rl_eval.untrusted_files import only_regular

MAX_BYTES = 64 << 20
_LINE_BEGINNING = '{"request": '


class AnswerCache:
    """Answers to requests; requests themselves and keys are not kept.

    Args:
        path: what was kept there is read, and new answers are appended.

    Raises:
        InputError: the file cannot be read, is too large, or holds something else.
    """

    def __init__(self, path: Path | None = None):
        self._path = path
        self._answers: dict[str, Any] = {}
        if path is None:
            return
        where = escape_controls(str(path))
        if not path.exists():
            if not os.access(path.parent, os.W_OK):  # before the first answer is paid for
                raise InputError(f"answers cannot be kept at {where}: its folder is missing or read-only; make it")
            return
        try:
            with open(path, "rb", opener=only_regular) as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise InputError(f"the answers at {where} cannot be read ({error.strerror}): name a file") from error
        if len(content) > MAX_BYTES:
            raise InputError(f"the answers at {where} have more than {MAX_BYTES >> 20} MiB: name a new file")
        for line in content.decode("utf-8", "replace").split("\n"):
            try:
                entry = json.loads(line)
                self._answers[entry["request"]] = entry["answer"]
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                if not is_cut_off(line, _LINE_BEGINNING):
                    raise InputError(
                        f"{where} contains something else than answers: name a new file, or one that this command made"
                    ) from error  # else it was cut off, and is asked for again

    def get(self, request: str) -> Any:
        """The answer to the request with a hash, unchecked; None if there is none."""
        return self._answers.get(request)

    def put(self, request: str, answer: Any) -> None:
        """Keep an answer.

        Raises:
            InputError: the file cannot be written.
        """
        self._answers[request] = answer
        if self._path is None:
            return
        line = json.dumps({"request": request, "answer": answer})
        try:
            with open(self._path, "a", encoding="utf-8", opener=only_regular) as file:
                file.write(f"\n{line}\n")  # the line before may have been cut off
        except OSError as error:
            where = escape_controls(str(self._path))
            raise InputError(f"answers cannot be kept at {where} ({error.strerror}): name another file") from error
