"""A device in Python, for the tests in a browser: `python device.py FILE URL`, then one JSON command a line.

["execute", sql, parameters] gives rows, ["sync"] a report, ["verify"] whether the copy is the hub's; an answer is one
JSON line each. It ends with its standard input.
"""

import json
import sys
from typing import Any

from schema import schema

import holdfast as hf


def answer(replica: hf.Replica, command: list[Any]) -> Any:
    what, *rest = command
    if what == "execute":
        sql, parameters = rest
        return [dict(row) for row in replica.execute(sql, parameters)]
    if what == "sync":
        report = replica.sync()
        return {"pushed": report.pushed, "pulled": report.pulled, "refused": len(report.refused)}
    return replica.verify().ok


with hf.Replica(sys.argv[1], schema, url=sys.argv[2], token="python") as replica:
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(replica, json.loads(line)), default=lambda value: value.hex()), flush=True)
