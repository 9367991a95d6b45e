"""The catalogue of error codes. A code, once released, keeps its meaning for ever.

`docs/reference/errors.md` is generated from this table. `status` is the HTTP status with which a hub answers a request
that fails with the code; 0 where the code never answers a whole request (it refuses one transaction, or arises
locally).
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """Meaning and remedy of one code."""

    status: int
    meaning: str
    remedy: str


CODES: dict[str, Code] = {
    # a request as a whole
    "request_malformed": Code(
        400,
        "The request is not the JSON that the protocol describes.",
        "Check the client's version; the message says which member is wrong.",
    ),
    "not_same": Code(
        412,
        "A short request said what the device holds, and the hub has something else for it.",
        "Nothing for people to do: the device says its whole request at once.",
    ),
    "request_too_large": Code(
        413,
        "The request is larger than the hub takes.",
        "Send fewer transactions at once; a single one that is too large must be split.",
    ),
    "encoding_unsupported": Code(
        415,
        "The Content-Encoding is not zstd, gzip or identity, or the body does not decode.",
        "Send the body plainly or with zstd.",
    ),
    "protocol_version": Code(426, "The hub does not speak this protocol version.", "Update the older side."),
    "space_unknown": Code(
        0,
        "The device does not hold this space.",
        "Name one of `replica.status.spaces`; a space that was granted lately comes with the next sync.",
    ),
    "verify_unfinished": Code(
        0,
        "The hub had always more to send, so that the two copies never stood still at the same moment.",
        "Sync first, then verify again.",
    ),
    "schema_version": Code(
        409,
        "The hub does not know the schema version that the device runs.",
        "Update the app on the device, or deploy the schema on the hub first.",
    ),
    "schema_outdated": Code(
        409,
        "The device runs a version of the schema that the hub no longer serves: its application is too old.",
        "Update the application on the device. Nothing is lost: what waits is translated and sent by the new one.",
    ),
    "lens_failed": Code(
        422,
        "A function of `hf.lens` fails on a value, or gives one that its columns do not take.",
        "Correct the function at the hub; the device keeps what was refused, to be sent again.",
    ),
    "schema_mismatch": Code(
        409,
        "Device and hub run different schemas under the same version number.",
        "Raise `version=` when the schema changes, and deploy the same schema on both sides.",
    ),
    "unauthenticated": Code(
        401, "The credentials are missing, wrong or expired.", "Log in again and give the replica the new token."
    ),
    "device_mismatch": Code(
        403,
        "The origin in a transaction belongs to another device.",
        "Every device writes under origins that it has minted itself; a client that names another one's has a mistake.",
    ),
    "user_changed": Code(
        409,
        "The device's file holds data of another user than the one who is logged in.",
        "Use one file for each user; what the other user has not sent waits in his.",
    ),
    "identity_invalid": Code(
        500,
        "The application's `authenticate` or `spaces` function gave something that is no identity.",
        "Correct the function; nothing was stored.",
    ),
    "membership_failed": Code(
        500,
        "The query of `spaces=hf.sql(...)` failed for this user.",
        "The message is the database's own; correct the query, or what `authenticate` gives. Nothing was stored.",
    ),
    "image_unknown": Code(
        404,
        "The hub has no such file image, or the caller may not read all that is in it.",
        "Nothing for people to do: the device takes pages.",
    ),
    "image_range": Code(
        416,
        "A part of a file image was asked for that begins behind its end.",
        "Nothing for people to do: the device throws its part away and takes pages.",
    ),
    "image_damaged": Code(
        0,
        "A file image has not the hash or the length that the hub has announced, or cannot be unpacked.",
        "Nothing was taken over; the device takes pages. When it comes again, empty the hub's folder of images.",
    ),
    "image_unfit": Code(
        0,
        "A file image is not for this device: another schema, other spaces, or something was written here meanwhile.",
        "Nothing was taken over; the device takes pages.",
    ),
    "method_not_allowed": Code(405, "The endpoint takes another HTTP method.", "See /openapi.json."),
    "not_found": Code(
        404, "There is no such endpoint.", "See /openapi.json; check the prefix under which the hub is mounted."
    ),
    "hub_unavailable": Code(
        503,
        "The hub's store cannot work now (busy, disk full, connection lost).",
        "Nothing was stored; the device tries again by itself. See the hub's log.",
    ),
    "internal_error": Code(500, "The hub made a mistake.", "Nothing was stored; see the hub's log and report it."),
    # the refusal of one transaction
    "forbidden_space": Code(
        403,
        "The user may not write in the space of the row.",
        "Ask for access; the refused values stay readable in `replica.refused()`.",
    ),
    "row_missing": Code(
        0,
        "An update names a row that the hub does not have, often because the transaction that made it was refused.",
        "Look at the earlier refusal, then write the row again.",
    ),
    "unique": Code(
        0,
        "Another row already holds this value of a unique column.",
        "Choose another value; `details.columns` names the columns, `details.other` the other row's key if you may "
        "read it. `on_unique=` on the table lets the hub keep both rows.",
    ),
    "history_unfinished": Code(
        0,
        "A device asked what happened to a row, and the hub had always more news to send first.",
        "Ask again when less is written.",
    ),
    "conflict_readonly": Code(
        0,
        "A device made, deleted or changed a row of holdfast_conflict in another way than by answering it.",
        "Use `replica.resolve()` or `replica.restore()`.",
    ),
    "conflict_unknown": Code(
        404,
        "There is no such conflict here, or it may not be read.",
        "List the conflicts anew: it may have been collected, or its row may have left the spaces of this device.",
    ),
    "conflict_gone": Code(
        409,
        "The row that the conflict is about is not there, so the value cannot be written into it.",
        "Write the row anew, or resolve the conflict about its deletion first.",
    ),
    "conflict_choice": Code(
        400,
        "The choice does not fit the conflict.",
        'Choose "mine" or "theirs"; a value of your own only for a conflict about one column.',
    ),
    "foreign_key": Code(
        0,
        "The row refers to a row that does not exist, or other rows still refer to the deleted one.",
        "Write the parent first, or delete the children first.",
    ),
    "check": Code(0, "A CHECK constraint of the hub's database refused the row.", "Correct the value."),
    "not_null": Code(0, "A column of the hub's database needs a value.", "Give the column a value."),
    "refused": Code(0, "A validation hook of the application refused the write.", "The message says why."),
    "hook_failed": Code(
        0,
        "A validation hook of the application raised an error of its own.",
        "See the hub's log; correct the hook, then retry the transaction.",
    ),
    "transaction_unknown": Code(
        0,
        "The outbox has no such transaction.",
        "See `replica.pending()` and `replica.refused()`, or `holdfast queue list`.",
    ),
    "transaction_state": Code(
        0,
        "The transaction is in a state in which that cannot be done.",
        "Cancel what waits; retry, edit or drop what was refused or parked.",
    ),
    "has_dependants": Code(
        0,
        "Other transactions depend on this one; `details.dependants` names them.",
        "Take them back with it (`dependants=True`, `--dependants`), or leave it.",
    ),
    "not_sendable": Code(
        0,
        "The device itself refused the transaction, because no request can carry it.",
        "Write it again as it should be, then drop this one.",
    ),
    "not_editable": Code(
        0,
        "A change of a set, a document or a merged text cannot be edited as a value, nor one of an earlier version of "
        "the schema.",
        "Write the row again, then drop this transaction.",
    ),
    "withdrawn": Code(
        0,
        "The device has taken the transaction back before the hub had processed it.",
        "Nothing to do: it was cancelled, or is tried again under another name.",
    ),
    "unknown_table": Code(
        0, "The operation names a table that the hub's schema does not have.", "Deploy the same schema on both sides."
    ),
    "unknown_column": Code(
        0, "The operation names a column that the hub's schema does not have.", "Deploy the same schema on both sides."
    ),
    "operation_malformed": Code(
        0, "The operation does not fit its merge type or its base.", "Report it: a device of ours does not send such."
    ),
    "space_invalid": Code(
        0,
        "The space of the row cannot be computed or is not a valid name.",
        "The columns in the space template need values.",
    ),
    "value_type": Code(0, "The value is of another type than the column.", "Write a value of the declared type."),
    "value_range": Code(
        0,
        "The number is outside of what the column can hold.",
        "int is within ±(2^53-1); use BigInt for more. Floats are finite.",
    ),
    "value_nul": Code(
        0, "Text contains the character U+0000, which PostgreSQL cannot hold.", "Remove it, or use a bytes column."
    ),
    "value_null": Code(0, "NULL in a column that is not optional.", "Give a value, or declare the column optional."),
    "value_format": Code(
        0,
        "The text does not have the form of the type (date, datetime, decimal, uuid, JSON).",
        "See spec/encoding.md section 1.",
    ),
    "value_choice": Code(0, "The value is not one of the declared choices.", "Use a declared choice."),
    "block_used_up": Code(
        0,
        "The device has used up the keys that it had leased from the hub's sequence.",
        "Sync to lease more. For longer times without a network declare a larger `block=`.",
    ),
    "sent_in_part": Code(
        0,
        "Another copy of this device's file has sent a part of this transaction, which cannot be told from the rest.",
        "Look at the row, write what is missing, and drop the refused transaction. Let two devices have two files.",
    ),
    "key_taken": Code(
        0,
        "A row with this leased key is there already: written past the sequence, or by a copy of the device's file.",
        "Write the row again without naming its key. Never copy a device's file, or put an old one back.",
    ),
    "column_read_only": Code(
        0,
        "The write names a column that only the hub's database makes (`read_only`).",
        "Leave the column out; its value comes from the hub.",
    ),
    # documents and merged texts
    "document_malformed": Code(
        0,
        "The bytes are no update of a document of this kind of column.",
        "Send what the Yjs library made of edits of plain text (hf.Text), or of objects and arrays (hf.Json).",
    ),
    "document_gap": Code(
        0,
        "The update builds on edits that the document does not have: they were refused, or the row was made again.",
        "Look at the earlier refusal; what was typed stands in the refused transaction.",
    ),
    "document_closed": Code(
        0,
        "A document was used outside of the transaction in which it was opened.",
        "Call `replica.document()` inside `with replica.transaction():`, and edit there.",
    ),
    "document_plain": Code(
        0,
        "A text document was given attributes or something embedded.",
        "hf.Text holds plain text; use hf.Json for more.",
    ),
    "not_a_document": Code(
        0,
        "`replica.document()` was asked for a column that is no document, or for JSON without parts.",
        "Declare the column hf.Text or hf.Json; write an object or an array before editing its parts.",
    ),
    "documents_unavailable": Code(
        0, "The schema has documents, and the library for them is not installed.", "Run `pip install 'holdfast[crdt]'`."
    ),
    "edit_misfit": Code(
        0,
        "An edit of a merged text was made on another text than the one that it names.",
        "A mistake of the client: it must make the edit on the text whose stamp it sends.",
    ),
    "key_too_long": Code(0, "The key is longer than 1,024 characters.", "Use a shorter key."),
    "depends_on_refused": Code(
        0,
        "The transaction needs a row that an earlier, refused transaction would have made.",
        "Look at the earlier refusal, which `details` names.",
    ),
    "transaction_too_large": Code(
        0, "One transaction is larger than a request may be.", "Split it into smaller transactions."
    ),
    # on the device, or when something is opened
    "schema_invalid": Code(0, "A table declaration is wrong.", "The message names class, column and remedy."),
    "schema_changed": Code(
        0,
        "The file, or the hub's database, was made with a schema of the same version but other content, or a later "
        "version has renamed columns in it.",
        "Raise `version=` when the schema changes, and start no hub of a version from before that.",
    ),
    "schema_mismatch_table": Code(
        0,
        "A table in the hub's database does not fit the declared schema.",
        "The message names table, column, what was expected and what was found.",
    ),
    "membership_invalid": Code(
        0,
        "The query of `spaces=hf.sql(...)` cannot be used, or a table that it reads cannot be watched.",
        "Correct the query; for a table that cannot be watched give `poll=` seconds.",
    ),
    "store_open": Code(0, "The hub's database cannot be opened.", "The message names the file and the reason."),
    "store_format": Code(0, "The hub's database was written by a newer Holdfast.", "Update Holdfast."),
    "adopt_nothing": Code(
        0, "`holdfast adopt` finds no such schema or table.", "Check the names, and that the role may read them."
    ),
    "store_migrate": Code(
        0,
        "The hub's database is not ready for the schema or the release, and the hub does not change it by itself.",
        "Run `holdfast migrate FILE`, with FILE as for `holdfast serve`; `--dry-run` shows the SQL first.",
    ),
    "migrate_locked": Code(
        0,
        "A table was in use by a long transaction while a migration wanted to add its triggers.",
        "Run the command again: it goes on where it stopped. End the long transaction first if it comes back.",
    ),
    "store_closed": Code(0, "The hub's store was closed.", "Open a new server."),
    "store_corrupt": Code(
        0,
        "The hub's database is damaged.",
        "Stop the hub, keep the file, and restore a backup; devices send what it has not confirmed.",
    ),
    "store_failed": Code(0, "The hub's database refused a statement of the hub.", "See the message; report it."),
    "store_not_fresh": Code(
        0, "A batch inserts a row that the feed already holds.", "Report it: the hub does not send such."
    ),
    "inside_transaction": Code(
        0,
        "A call that writes in a transaction of its own, such as a sync, was made inside one of the application's.",
        "Leave `with replica.transaction():` first; nothing was changed.",
    ),
    "transaction_closed": Code(0, "A transaction of a store was used after its end.", "Use it inside its `with`."),
    "transaction_read_only": Code(0, "A read transaction of a store was asked to write.", "Open it with `write=True`."),
    "file_not_database": Code(
        0,
        "The file is not an SQLite database, or it is damaged. Nothing was changed.",
        "Check the path; if it was the file of a device, `holdfast salvage` takes out of it what can still be read.",
    ),
    "file_damaged": Code(
        0,
        "The device file is damaged: SQLite's check or a checksum says so, or a salvage of it broke off.",
        "End every program that has it open and run `holdfast salvage`: what was not sent goes into a new file, the "
        "rest comes from the hub. Leave its -wal file where it is.",
    ),
    "file_foreign": Code(
        0,
        "The SQLite file is not a Holdfast device and holds tables that would collide. Nothing was changed.",
        "Choose another path, or rename the colliding tables.",
    ),
    "file_newer": Code(0, "The device file was written by a newer Holdfast.", "Update Holdfast."),
    "file_older": Code(
        0,
        "The device file was written by a Holdfast of before the first release, whose format is not read any more.",
        "Sync it with the version that wrote it, then start with a new file.",
    ),
    "file_unusable": Code(
        0, "The device file cannot be opened or written.", "The message names the file and the reason."
    ),
    "disk_full": Code(
        0,
        "The disk is full. The transaction was rolled back; everything committed before is safe. Rows left as far as "
        "the tables allow it: `details.freed` says how many bytes.",
        "If something was freed, write again; else free space, or let rows leave (`evictable`, `keep`).",
    ),
    "row_evicted": Code(
        0,
        "The row is one of the hub's and has left this device to make room, so its key is not free here.",
        "Bring it back with `replica.fetch(table, key)`, then write.",
    ),
    "storage_invalid": Code(
        0, "The budgets are not written as `hf.Storage` needs them.", "The message names the budget and what it may be."
    ),
    "busy": Code(
        0, "Another process or thread is syncing this file, or holds its write lock.", "Wait for it, or try again."
    ),
    "url_invalid": Code(
        0, "The hub's URL is not http(s)://host[:port][/prefix].", "Correct the `url=` of the replica."
    ),
    "closed": Code(503, "The replica or server was closed.", "Open a new one."),
    "two_libraries": Code(
        0,
        "Python's sqlite3 module and Holdfast's SQLite would open one file in one process and break its locks.",
        "Use `replica.execute`, an APSW connection, or another process.",
    ),
    "no_transport": Code(0, "The replica has neither url nor transport.", "Pass `url=` or `transport=`."),
    "announcement_invalid": Code(
        0,
        "What `replica.announce` was given is not JSON, or has more than 1,024 bytes of it.",
        "Announce a few small values: a name, a page, a colour.",
    ),
    "loop_failed": Code(
        0, "The background sync met a mistake of its own. It tries again.", "See the device's log; report it."
    ),
    "network": Code(
        0,
        "The hub could not be reached or the connection broke. Local work goes on.",
        "Try again when the network is back; nothing is lost.",
    ),
    "response_malformed": Code(
        0, "The hub's answer cannot be read.", "Check that the URL is a Holdfast hub of this version."
    ),
    "response_incomplete": Code(
        0, "The hub's answer was cut off before its end.", "Sync again: it goes on where it stopped."
    ),
    "hub_error": Code(
        0,
        "Something between device and hub answered with an HTTP error that is not the hub's.",
        "Check the URL and the proxies in between.",
    ),
    "schema_change": Code(
        0,
        "A version of the schema cannot follow the one before without a word about what changed.",
        "The message names table and column: declare `hf.rename`, `hf.lens` or `hf.drop` in `migrations=`.",
    ),
    "sql": Code(0, "SQLite refused the statement.", "The message is SQLite's own."),
}
