"""Cancel, retry, edit and drop."""

from __future__ import annotations

import pytest

import holdfast as hf
from tests.integration.queue.site import IDENTITY, Site


def code_of(error: pytest.ExceptionInfo[hf.HoldfastError]) -> str:
    return error.value.code


def test_cancel_rolls_back_what_a_transaction_wrote(site: Site) -> None:
    with site.device() as device:
        device.execute("INSERT INTO form (id, title, visits) VALUES ('f1', 'first', 3)")
        device.sync()
        with device.transaction() as receipt:
            device.execute("UPDATE form SET title = 'second', visits = visits + 4 WHERE id = 'f1'")
            device.execute("INSERT INTO form (id) VALUES ('f2')")
        assert device.cancel(receipt).cancelled == [2]
        assert device.execute("SELECT id, title, visits FROM form") == [("f1", "first", 3)]
        assert device.pending() == []
        assert device.sync().pushed == 0


def test_cancel_names_what_depends_on_it(site: Site) -> None:
    with site.device() as device:
        with device.transaction() as parent:
            device.execute("INSERT INTO album (id) VALUES ('a1')")
        device.execute("INSERT INTO photo (id, album) VALUES ('p1', 'a1')")
        device.execute("UPDATE photo SET note = 'n' WHERE id = 'p1'")
        device.execute("INSERT INTO form (id) VALUES ('f1')")
        with pytest.raises(hf.HoldfastError) as error:
            device.cancel(parent)
        assert (code_of(error), error.value.details["dependants"]) == ("has_dependants", [2, 3])
        assert len(device.execute("SELECT * FROM photo")) == 1
        assert device.cancel(parent, dependants=True) == hf.Cancelled([1, 2, 3], [])
        assert device.execute("SELECT * FROM photo") == device.execute("SELECT * FROM album") == []
        assert device.sync().pushed == 1


def test_a_sent_transaction_is_cancelled_if_the_hub_does_not_have_it(site: Site) -> None:
    with site.device() as device:
        device.execute("INSERT INTO form (id) VALUES ('f1')")
        device.build_request()  # never arrives
        assert device.cancel(1) == hf.Cancelled([], [1])
        assert device.pending()[0].withdrawn
        assert device.sync().refused == []
        assert device.execute("SELECT * FROM form") == device.pending() == device.refused() == []
    assert site.rows("form") == []


def test_a_request_that_arrives_after_the_cancellation_changes_nothing(site: Site) -> None:
    with site.device() as device:
        device.execute("INSERT INTO form (id) VALUES ('f1')")
        late = device.build_request()
        device.cancel(1)
        device.sync()
        list(site.hub.handle(late, hf.Identity("anna", {"site": "rw", "lab": "rw"})))
    assert site.rows("form") == []


def test_a_cancellation_that_comes_too_late_leaves_the_transaction(site: Site) -> None:
    with site.device() as device:
        device.execute("INSERT INTO form (id) VALUES ('f1')")
        request = device.build_request()
        list(site.hub.handle(request, hf.Identity("anna", {"site": "rw", "lab": "rw"})))  # the answer is lost
        device.cancel(1)
        assert device.sync().pushed == 1
        assert device.pending() == []
        assert len(device.execute("SELECT * FROM form")) == 1
    assert len(site.rows("form")) == 1


def refuse_bad_titles(site: Site) -> None:
    @site.hub.before_write("form")
    def check(change: hf.Change, context: hf.Context) -> None:
        if change.new and change.new["title"] == "bad":
            raise hf.Refuse("a title must not be bad", code="bad_title")


def test_a_refused_transaction_is_edited_and_sent_again(site: Site) -> None:
    refuse_bad_titles(site)
    with site.device() as device:
        device.execute("INSERT INTO form (id, title, visits) VALUES ('f1', 'bad', 2)")
        device.sync()
        (refused,) = device.refused()
        assert (refused.code, refused.queue, device.execute("SELECT * FROM form")) == ("bad_title", "form", [])
        device.edit(refused.txn, "form", "f1", title="good", visits=5)
        device.retry(refused.txn)
        assert device.execute("SELECT title, visits FROM form") == [("good", 5)]
        assert device.sync().pushed == 1
        assert device.refused() == []
    assert site.rows("form")[0][1:3] == ("good", 5)


def test_a_cancellation_of_what_was_refused_meanwhile_holds_up_nothing(site: Site) -> None:
    refuse_bad_titles(site)
    with site.device() as device:
        device.execute("INSERT INTO form (id, title) VALUES ('f1', 'bad')")
        list(site.hub.handle(device.build_request(), IDENTITY))  # the answer is lost
        device.cancel(1)
        assert [refusal.code for refusal in device.sync().refused] == ["bad_title"]
        site.way.most = site.way.requests + 5
        device.execute("INSERT INTO form (id, title) VALUES ('f2', 'good')")
        assert device.sync().pushed == 1
    assert [row[0] for row in site.rows("form")] == ["f2"]


def test_an_update_that_was_refused_is_shown_again_when_it_is_retried(site: Site) -> None:
    refuse_bad_titles(site)
    with site.device() as device:
        device.execute("INSERT INTO form (id, title) VALUES ('f1', 'first')")
        device.sync()
        device.execute("UPDATE form SET title = 'bad' WHERE id = 'f1'")
        device.sync()
        assert device.execute("SELECT title FROM form") == [("first",)]
        device.retry(2)
        assert device.execute("SELECT title FROM form") == [("bad",)]
        assert [refusal.code for refusal in device.sync().refused] == ["bad_title"]
        assert device.execute("SELECT title FROM form") == [("first",)]
        assert device.drop(2).cancelled == [2]
        assert device.refused() == []


def test_dependants_of_a_refused_transaction_are_named(site: Site) -> None:
    refuse_bad_titles(site)
    with site.device() as device:
        with device.transaction():
            device.execute("INSERT INTO form (id, title) VALUES ('f1', 'bad')")
            device.execute("INSERT INTO album (id) VALUES ('a1')")
        device.execute("INSERT INTO photo (id, album) VALUES ('p1', 'a1')")
        device.execute("UPDATE photo SET note = 'n' WHERE id = 'p1'")
        device.execute("INSERT INTO form (id) VALUES ('f2')")
        assert device.sync().pushed == 1
        first, second = device.refused()[:2]
        assert (first.code, first.needed, second.code, second.needed) == ("bad_title", [], "foreign_key", [1])
        assert first.dependants == [item.txn for item in device.refused()[1:]]


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda device: device.cancel(9), "transaction_unknown"),
        (lambda device: device.cancel(hf.Receipt()), "transaction_unknown"),
        (lambda device: device.cancel(hf.Receipt(99)), "transaction_unknown"),
        (lambda device: device.cancel(1), "transaction_state"),
        (lambda device: device.retry(2), "not_sendable"),
        (lambda device: device.edit(2, "form", "f3", title="x"), "not_sendable"),
        (lambda device: device.drop(3), "transaction_state"),
        (lambda device: device.edit(1, "nowhere", "f1", title="x"), "unknown_table"),
        (lambda device: device.edit(1, "form", "f9", title="x"), "row_missing"),
        (lambda device: device.edit(1, "form", "f1", nothing="x"), "unknown_column"),
        (lambda device: device.edit(1, "form", "f1", title=7), "value_type"),
    ],
)
def test_what_cannot_be_done_says_why(site: Site, act: object, code: str) -> None:
    refuse_bad_titles(site)
    with site.device() as device:
        device.execute("INSERT INTO form (id, title) VALUES ('f1', 'bad')")
        device.sync()
        device.execute("INSERT INTO form (id, data) VALUES ('f3', ?)", (str(10**30),))
        device.execute("INSERT INTO form (id) VALUES ('f2')")
        with pytest.raises(hf.HoldfastError) as error:
            act(device)  # type: ignore[operator]
        assert code_of(error) == code
