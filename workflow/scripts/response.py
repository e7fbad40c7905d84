"""Test whether a sample has the detector response of the simulation."""

from omniflow.stages import command, response

if __name__ == "__main__":
    command.run(response.train, role=str)
