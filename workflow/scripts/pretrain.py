"""Train a classifier on the pre-training pair."""

from omniflow.stages import command, pretraining

if __name__ == "__main__":
    command.run(pretraining.pretrain, model=int)
