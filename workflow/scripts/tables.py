"""Write the tables of the study."""

from omniflow.stages import command, tables
from omniflow.stages.lanes import decided

if __name__ == "__main__":
    command.run(decided(tables.make_tables))
