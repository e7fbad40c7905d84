"""Write the observables as they are histogrammed, with their bin edges."""

from omniflow.stages import command, samples

if __name__ == "__main__":
    command.run(samples.make_axes)
