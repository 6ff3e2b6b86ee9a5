"""What to try where photos are not protected: options in the order in which to try them, with what each costs."""

from collections.abc import Iterator, Mapping
from typing import Any

BUDGETS = (3, 8, 16)
"""Noise limits worth a try, in grey levels; more than the last shows in every photo."""
PATIENCE = 3
"""Times as many steps."""


def advice(settings: Mapping[str, Any]) -> list[str]:
    """Sentences for a person, the first to be tried first.

    Args:
        settings: of the run, as ``run.json`` holds them; ``settings`` among them are the scheme's own.
    """
    return list(_advice(settings))


def _advice(settings: Mapping[str, Any]) -> Iterator[str]:
    if settings.get("quality") is not None:
        yield "--format png: a file without loss keeps all of the noise; it is several times as large"
    if settings.get("universal"):
        yield "without --universal: noise made for every photo is far stronger; it takes longer"
        return
    own = settings.get("settings", {})
    budget, steps, score = (own.get(name) for name in ("budget", "max_iterations", "required_score"))
    if budget is not None and (larger := next((level for level in BUDGETS if level > budget), None)):
        yield (
            f"--budget {larger}: changes of up to {larger} grey levels instead of {budget:g}; they are easier to see, "
            "in skies and other smooth areas first"
        )
    if steps is not None:
        yield (
            f"--max-iterations {PATIENCE * steps}: more steps for difficult photos; these take up to {PATIENCE} times "
            "as long"
        )
    if len(settings.get("models", ())) > 1:
        yield "fewer --model: to mislead one network is easier than several at once; the others then see the truth"
    if score is not None and score > 0.9:
        yield "--required-score 0.9: accepts a weaker result, which re-compression undoes sooner"
