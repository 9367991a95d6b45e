"""A device: `python device.py FILE URL USER [TITLE ANSWER]` writes a submission, offline if it must be, and syncs."""

import sys

from schema import schema

import holdfast as hf

file, url, user, *written = sys.argv[1:]
with hf.Replica(file, schema, url=url, token=user) as device:
    if written:
        key = hf.new_id()
        with device.transaction():
            device.execute("insert into forms_submission (id, project_id, title) values (?, 1, ?)", (key, written[0]))
            device.execute("insert into forms_answer (submission_id, text) values (?, ?)", (key, written[1]))
    try:
        device.sync()
    except hf.HoldfastError as error:
        print(f"offline: {error}")
    for row in device.execute("select title, status from forms_submission order by title"):
        print(f"{row['title']} ({row['status']})")
    for refused in device.refused():
        print(f"refused: {refused.message}")
