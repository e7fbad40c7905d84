"""Train step 2 on the truth of pseudo-data: the best that its network can do."""

from omniflow.stages import command, oracle

if __name__ == "__main__":
    command.run(oracle.train)
