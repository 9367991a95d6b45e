"""Numbered migrations of the hub's own tables in PostgreSQL, one SQL file each.

`NNNN_before_name.sql` runs before the new release is deployed, while the old one still runs: it only adds.
`NNNN_after_name.sql` runs when no process of the old release is left: it may take away. A file that was released is
never changed again; its checksum stands in every database.
"""
