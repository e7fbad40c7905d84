"""Write the observables of a sample."""

from omniflow.stages import command, samples

if __name__ == "__main__":
    command.run(samples.make_observables, role=str)
