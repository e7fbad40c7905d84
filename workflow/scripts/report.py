"""Write the report of the study."""

import gc

from omniflow.report import page
from omniflow.stages import command
from omniflow.unfolding.plan import Plan


def report(plan: Plan) -> None:
    """Write the report of the study."""
    gc.set_threshold(20_000, 10, 10)  # figures are many short-lived objects; a tenth of the time
    page.write(plan.root, plan.table("report.html"))


if __name__ == "__main__":
    command.run(report)
