"""Write means and standard deviations of the features."""

from omniflow.stages import command, samples

if __name__ == "__main__":
    command.run(samples.make_scaling)
