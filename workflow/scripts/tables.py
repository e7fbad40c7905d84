"""Write the tables of the study."""

from omniflow.stages import command, tables

if __name__ == "__main__":
    command.run(tables.make_tables)
