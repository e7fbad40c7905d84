"""Train and judge the second classifiers of a method, or of the simulation before unfolding."""

from omniflow.stages import command, second

if __name__ == "__main__":
    command.run(second.train, subject=str)
