"""Testing what you build on Holdfast: a simulated world for your tables, and the contract of stores.

    from holdfast.testing import Simulation

`Simulation` runs real devices and a real hub in one thread, with virtual time, a network that loses and repeats, and
crashes, all from one seed. `LocalTransport` joins a replica to a server in one process. `StoreContract` proves a store.
"""

from holdfast.edge.local import LocalTransport
from holdfast.stores.contract import StoreContract
from holdfast.testing.clock import DAY, HOUR, MINUTE, YEAR, PartyClock, WorldTime
from holdfast.testing.device import SimulatedDevice
from holdfast.testing.disk import Crash, Disk
from holdfast.testing.faulty_disk import FaultyDisk
from holdfast.testing.hub import SimulatedHub
from holdfast.testing.invariants import Violation
from holdfast.testing.network import Fault, Link, Network
from holdfast.testing.proxy import FaultProxy, Faults
from holdfast.testing.simulation import Simulation
from holdfast.testing.weather import FaultyTransport, VirtualTime, Weather, run_loop

__all__ = [
    "DAY",
    "HOUR",
    "MINUTE",
    "YEAR",
    "Crash",
    "Disk",
    "Fault",
    "FaultProxy",
    "Faults",
    "FaultyDisk",
    "FaultyTransport",
    "Link",
    "LocalTransport",
    "Network",
    "PartyClock",
    "SimulatedDevice",
    "SimulatedHub",
    "Simulation",
    "StoreContract",
    "Violation",
    "VirtualTime",
    "Weather",
    "WorldTime",
    "run_loop",
]
