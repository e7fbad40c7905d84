"""Write the classifier inputs of a sample at one level."""

from omniflow.stages import command, samples

if __name__ == "__main__":
    command.run(samples.make_features, role=str, level=str)
