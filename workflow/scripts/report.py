"""Write the report of the study."""

from omniflow.report import page
from omniflow.stages import command
from omniflow.unfolding.plan import Plan


def report(plan: Plan) -> None:
    """Write the report of the study."""
    page.write(plan.root, plan.table("report.html"))


if __name__ == "__main__":
    command.run(report)
