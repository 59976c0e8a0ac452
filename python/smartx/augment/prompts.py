"""The chats that ask a generator for a new row like one that the model got wrong.

The prompt of LLM2LLM is for grade-school maths; this one asks the same of any task: an example of
the same kind, about something else, whose response is right. Rows stand in it as JSON, so that no
text of a row reads like a part of the prompt.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

SHOWN = 2_000  # characters of a neighbour's prompt and response that are shown
_ID = 16
_SYSTEM = """\
You write training examples for a language model. You are given an example that the model got \
wrong, so that you can give it practice.

Write one new example that needs the same skill: of the same kind, form, language and difficulty, \
about something else.
- Do not copy: change names, numbers, objects and situation, so that the skill is learned and not \
the answer.
- Whatever is needed to answer stands in the prompt.
- The response is correct, and has the form of the given response. Work it out before you write it.

Answer with one JSON object and nothing else: {"prompt": "...", "response": "..."}"""


def row_digest(source: str, task: str, template: str, prompt: str, response: str) -> str:
    """Names a row by what it says, in whatever corpus it stands."""
    content = json.dumps([source, task, template, prompt, response], ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()[:_ID]


def chat(prompt: str, response: str, neighbours: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """The turns for a generator. neighbours: prompt and response of rows that show the form."""
    asked = f"The model got this example wrong:\n{_row(prompt, response)}"
    if neighbours:
        shown = "\n".join(_row(_cut(before), _cut(after)) for before, after in neighbours)
        asked += f"\n\nExamples near it, for their form alone:\n{shown}"
    asked += "\n\nWrite one new example."
    return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": asked}]


def request(line: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The same as a request of an OpenAI batch, which vLLM's `run-batch` takes too."""
    body = {"model": model, "messages": line["messages"]}
    return {
        "custom_id": line["id"],
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": body,
    }


def _row(prompt: str, response: str) -> str:
    return json.dumps({"prompt": prompt, "response": response}, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
