"""Write the histograms of a method."""

from omniflow.stages import command, evaluation

if __name__ == "__main__":
    command.run(evaluation.make_histograms, method=str)
