"""Write covariances, tests, pulls and coverage of the study."""

from omniflow.stages import command, uncertainties

if __name__ == "__main__":
    command.run(uncertainties.make_tables)
