"""Write the histograms of a method."""

from omniflow.stages import command, evaluation
from omniflow.stages.lanes import decided

if __name__ == "__main__":
    command.run(decided(evaluation.make_histograms), method=str)
