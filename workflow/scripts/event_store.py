"""Read or generate a sample and write its event store."""

from omniflow.stages import command, samples

if __name__ == "__main__":
    command.run(samples.make_store, role=str)
