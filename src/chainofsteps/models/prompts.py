"""Prompts held against a model's tokenizer, before any weight is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from diffusers.pipelines.wan.pipeline_wan_i2v import prompt_clean
from transformers import AutoTokenizer

from chainofsteps.refusal import Refused


def check_prompts(folder: str | Path, prompts: Mapping[str, str], length: int, negative: str = "") -> None:
    """Refuse a prompt that the model would read only the beginning of; the pipeline itself cuts it in silence.

    Parameters
    ----------
    folder : path
        Of the model, in diffusers layout.
    prompts : mapping
        Case id -> prompt.
    length : int
        ``max_sequence_length`` of the model's entry.
    negative : str
        Its ``negative_prompt``, which may be empty.

    Raises
    ------
    Refused
        No tokenizer that can be read; a prompt that is empty, or of more tokens.
    """
    place = Path(folder) / "tokenizer"
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(place), local_files_only=True)
    except (OSError, ValueError) as error:
        raise Refused(place, "tokenizer", error, "a tokenizer of transformers") from None

    def check_length(where: str, field: str, prompt: str) -> None:
        tokens = len(tokenizer(prompt_clean(prompt), verbose=False)["input_ids"])
        if tokens > length:
            raise Refused(where, field, f"{tokens} tokens", f"at most {length}, max_sequence_length")

    check_length("config/models.yaml", "negative_prompt", negative)
    for case_id, prompt in prompts.items():
        if not prompt.strip():
            raise Refused(f"case {case_id}", "prompt", "nothing", "a prompt")
        check_length(f"case {case_id}", "prompt", prompt)
