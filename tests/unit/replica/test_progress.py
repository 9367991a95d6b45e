"""How far a transfer is, and how long the rest takes, on a clock that the test moves."""

from __future__ import annotations

from holdfast.replica.progress import Flow, Speed, Transfer, count_rows


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_at_rest_there_is_no_progress() -> None:
    transfer = Transfer(Clock())
    assert transfer.progress(5, 500) is None
    transfer.asks(sends=True)
    assert transfer.progress(5, 500) is not None
    transfer.rests()
    assert transfer.progress(5, 500) is None and not transfer.uploading


def test_a_download_counts_rows_and_foretells_its_end() -> None:
    clock = Clock()
    transfer = Transfer(clock)
    transfer.asks(sends=False)
    transfer.expects(1000)
    for _ in range(4):
        clock.now += 2.0
        transfer.page(50, 5_000)
    progress = transfer.progress(0, 0)
    assert progress is not None and transfer.downloading
    assert progress.download == Flow(200, 1000, 20_000, 100_000, 32.0)  # 25 rows a second, 800 to come


def test_the_second_answer_of_a_burst_says_what_is_still_ahead() -> None:
    transfer = Transfer(Clock())
    transfer.asks(sends=False)
    transfer.expects(3_000)
    transfer.page(2_000, 10)
    transfer.asks(sends=False)
    transfer.expects(1_500)  # more was written meanwhile
    progress = transfer.progress(0, 0)
    assert progress is not None and (progress.rounds, progress.download.rows_total) == (2, 3_500)


def test_an_upload_counts_what_was_answered_against_all_that_waited() -> None:
    clock = Clock()
    transfer = Transfer(clock)
    transfer.asks(sends=True)
    assert transfer.uploading
    clock.now += 3.0
    transfer.answered(2, 10, 300)
    progress = transfer.progress(20, 600)
    assert progress is not None and not transfer.uploading
    assert (progress.transactions, progress.upload) == (2, Flow(10, 30, 300, 900, 6.0))


def test_a_link_that_slows_down_shows_within_the_window() -> None:
    speed, now = Speed(), 0.0
    speed.start(now)
    for step in range(60):  # 100 a second for a minute
        now = float(step + 1)
        speed.moved(now, 100 * (step + 1))
    assert speed.seconds_for(now, 1_000) == 10.0
    for step in range(40):  # then 1 a second
        now += 1.0
        speed.moved(now, 6_000 + step + 1)
    left = speed.seconds_for(now, 1_000)
    assert left is not None and 900 < left <= 1_000


def test_nothing_is_foretold_before_anything_moved() -> None:
    speed = Speed()
    assert speed.seconds_for(0.0, 5) is None
    speed.start(0.0)
    assert speed.seconds_for(9.0, 5) is None
    speed.moved(9.0, 0)
    assert speed.seconds_for(9.0, 5) is None


def test_a_hub_that_foretells_too_little_is_not_believed() -> None:
    transfer = Transfer(Clock())
    transfer.asks(sends=False)
    transfer.expects(0)
    transfer.page(7, 70)
    progress = transfer.progress(0, 0)
    assert progress is not None and (progress.download.rows, progress.download.rows_total) == (7, 7)


def test_changes_are_told() -> None:
    told: list[bool] = []
    transfer = Transfer(Clock())
    transfer.changed = lambda: told.append(transfer.uploading)
    transfer.asks(sends=True)
    transfer.answered(1, 1, 1)
    transfer.page(1, 1)
    transfer.rests()
    assert told == [True, False, False, False]


def test_rows_of_a_page_are_counted_without_reading_them() -> None:
    assert count_rows(b'[["t",1,[1],"s"],["t",1,[2],"s"]]') == 2
    assert count_rows(b"[]") == 0
    assert count_rows(b"{") == 0
