"""Train the networks of a block."""

from omniflow.stages import command, training
from omniflow.unfolding.coordinates import step_number
from omniflow.unfolding.plan import Plan


def train(
    plan: Plan, chain: str, pass_: int, group: str, iteration: int, step: int, block: int
) -> None:
    """Train the networks of a block."""
    blocks = plan.blocks(plan.group(chain, pass_, group), iteration, step)
    training.train_block(plan, blocks[block])


if __name__ == "__main__":
    command.run(train, chain=str, pass_=int, group=str, iteration=int, step=step_number, block=int)
