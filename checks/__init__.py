"""The repository checks itself: one module a check, each with `find() -> list[str]`.

One line a finding; an empty list is clean.

`make check` runs all of them (`python -m checks`), `python -m checks size links` some. Those that need no tool but
Python also run as tests (tests/unit/repository).
"""
