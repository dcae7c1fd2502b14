"""The variables of looking for missed events: how often, how far back, how much at once."""

from app.settings.base import Environment, variable


class Looks(Environment):
    """What the looks for missed events go by."""

    delivery_log_every_s: float = variable(
        "How often GitHub's delivery log is read for deliveries that did not arrive.",
        unit="seconds",
        example="120",
        default=300,
        ge=1,
        le=3600,
    )
    delivery_log_days: int = variable(
        "How far back GitHub's delivery log goes: 3 days, 7 on an Enterprise Server.",
        unit="days",
        example="7",
        default=3,
        ge=1,
        le=30,
    )
    redeliveries_per_minute: int = variable(
        "How many deliveries GitHub is asked to send again in a minute, at most.",
        unit="requests",
        example="60",
        default=30,
        ge=1,
        le=600,
    )
    refs_every_s: float = variable(
        "How often each repository with stacks is asked for its branches and tags, besides after each push.",
        unit="seconds",
        example="300",
        default=900,
        ge=1,
        le=86400,
    )
    refs_grace_s: float = variable(
        "How long a push may be on its way before a branch or a tag that moved counts as missed.",
        unit="seconds",
        example="120",
        default=60,
        ge=0,
        le=3600,
    )
