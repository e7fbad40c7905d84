"""Measure the lanes of a method, and decide how many there have to be."""

from omniflow.stages import command, lanes

if __name__ == "__main__":
    command.run(lanes.measure, method=str, round_=int)
