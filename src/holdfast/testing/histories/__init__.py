"""Histories of real processes, and checkers that judge them by published definitions.

Devices and a hub run as processes of their own, are killed and stopped, and write down what they did; afterwards
a checker reads what each of them says it saw. `python -m holdfast.testing.histories --help` runs it.

    record      what a history is, and how a process writes one that survives its death
    set_full    no acknowledged add is lost
    counter     every read lies between what was acknowledged and what was attempted
    bank        transfers between counters: every read of every device has the same total
    causal      causal convergence of reads and writes
    long_fork   two readers see two writes in the same order
    workloads   what the devices do, one class a checker
    device, hub the processes; run starts them, disturbs them and judges
"""
