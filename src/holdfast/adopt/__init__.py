"""From an existing PostgreSQL database to a commented Python schema: read, judged, written."""
