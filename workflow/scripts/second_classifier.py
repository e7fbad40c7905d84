"""Train and judge the second classifiers of a method, or of the simulation before unfolding."""

from omniflow.stages import command, second
from omniflow.stages.lanes import decided

if __name__ == "__main__":
    command.run(decided(second.train), subject=str)
