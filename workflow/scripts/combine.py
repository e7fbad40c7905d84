"""Combine the lanes of a method into final weights."""

from omniflow.stages import command, weights
from omniflow.stages.lanes import decided

if __name__ == "__main__":
    command.run(decided(weights.combine), method=str)
