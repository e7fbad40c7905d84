"""Aggregate the members of each lane of a group after a step."""

from omniflow.stages import command, weights
from omniflow.unfolding.coordinates import step_number
from omniflow.unfolding.plan import Plan


def aggregate(plan: Plan, chain: str, pass_: int, group: str, iteration: int, step: int) -> None:
    """Aggregate the members of each lane of a group after a step."""
    weights.aggregate(plan, plan.group(chain, pass_, group), iteration, step)


if __name__ == "__main__":
    command.run(aggregate, chain=str, pass_=int, group=str, iteration=int, step=step_number)
