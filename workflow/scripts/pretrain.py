"""Train a classifier on the pre-training pair."""

from omniflow.stages import command, training

if __name__ == "__main__":
    command.run(training.pretrain, model=int)
