"""Write covariances, tests, pulls and coverage of the study."""

from omniflow.stages import command, uncertainties
from omniflow.stages.lanes import decided

if __name__ == "__main__":
    command.run(decided(uncertainties.make_tables))
