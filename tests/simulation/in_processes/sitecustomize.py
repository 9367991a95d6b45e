"""Python imports this at its start when the folder is on PYTHONPATH: plants the fault that HOLDFAST_PLANTED names.

So a fault is in every process of a test: in pytest, in the children that it starts, and in theirs.
"""

import os

if os.environ.get("HOLDFAST_PLANTED"):
    from tests.simulation.planted_elsewhere import plant_named

    plant_named(os.environ["HOLDFAST_PLANTED"])
