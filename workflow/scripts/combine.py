"""Combine the lanes of a method into final weights."""

from omniflow.stages import command, weights

if __name__ == "__main__":
    command.run(weights.combine, method=str)
