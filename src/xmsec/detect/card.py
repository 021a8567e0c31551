"""A model card: what a person should know before trusting a model, written from the model alone."""

from __future__ import annotations

from xmsec.detect.features import shown
from xmsec.detect.model import Model


def card(model: Model) -> str:
    """Return the card of a model as Markdown; the same model gives the same text."""
    about = model.metadata
    return "\n".join(
        (
            f"# {about.id} {model.version}",
            "",
            f"Isolation forest: {about.trees} trees of {about.samples} windows each, seed {about.seed}.",
            f"One row is one `{about.entity}` in one window of {about.window}, aligned to midnight of {about.zone}.",
            "A feature counts only as far as it lies above its usual value: the entity's own median when it had windows",
            "enough in training, else the median of all entities. Counts are compared by log(1 + x).",
            "",
            "## Trained on",
            "",
            f"{about.rows:,} windows of {about.entities:,} entities, from {about.start} to {about.end} ({about.days:g} days).",
            f"{len(model.usual.known):,} entities have own usual values.",
            "",
            "| feature | p50 | p90 | p99 | highest |",
            "|---|---:|---:|---:|---:|",
            *_quantiles(model),
            "",
            "## Tells",
            "",
            f"A window whose score is below {about.threshold:.6f} and that holds a count more than {about.busy_times:g} times",
            "the busy value: the 90th percentile of the entity's own windows, else the 99th of all.",
            "",
            f"Budget: {about.budget_per_day:g} entities a day at most although nothing is wrong; in training it was",
            f"{about.told_per_day:g}. An incident that the training span holds uses up a place of that budget for each day of",
            "an entity. An entity's median moves only when half of its windows are wrong, its busy value when a tenth are (any",
            "one, of fewer than ten).",
            "",
            "## Cannot see",
            "",
            *(f"- {line}" for line in _blind(model)),
            "",
            "## Made from",
            "",
            f"Recipe {about.recipe}; {', '.join(f'{name} {of}' for name, of in sorted(about.versions.items()))}.",
            "",
        )
    )


def _quantiles(model: Model) -> list[str]:
    return [
        f"| {feature} | {' | '.join(shown(value, feature) for value in model.metadata.quantiles[feature])} |"
        for feature in model.metadata.features
    ]


def _blind(model: Model) -> list[str]:
    lines = [
        f"What stays within {model.metadata.busy_times:g} times the busy value, such as a slow leak: rules count over days.",
        "What training took for usual, and when an account works: its hours weigh, but alone are never told.",
        "How far beyond the highest training value a window lies: all beyond it scores alike.",
        "New entities' own habits: until the next training they are measured against all entities.",
        "Which objects or people were touched (only how many), and what logs do not hold, such as response bodies.",
    ]
    if model.metadata.still:
        lines.insert(0, f"Features that never rose above the usual in training: {', '.join(model.metadata.still)}.")
    return lines
