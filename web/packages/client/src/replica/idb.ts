// IndexedDB as promises. A transaction ends as soon as nothing is asked of it, so that nothing else may be awaited inside.
import { HoldfastError } from "../errors";

/** The result of a request. */
export function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => {
      resolve(request.result);
    };
    request.onerror = () => {
      reject(fileError(request.error));
    };
  });
}

/** Run `body` in one transaction and wait until it is on the disk, or undone. What `body` throws undoes it. */
export async function transact<T>(
  db: IDBDatabase,
  stores: readonly string[],
  mode: IDBTransactionMode,
  durability: IDBTransactionDurability,
  body: (tx: IDBTransaction) => Promise<T>,
): Promise<T> {
  let tx: IDBTransaction;
  try {
    tx = db.transaction([...stores], mode, { durability });
  } catch (error) {
    throw fileError(error);
  }
  let [undone, over] = [false, false];
  const ended = new Promise<void>((resolve, reject) => {
    tx.oncomplete = () => {
      over = true;
      resolve();
    };
    tx.onabort = () => {
      undone = true;
      reject(fileError(tx.error ?? new DOMException("the database was closed", "AbortError")));
    };
  });
  try {
    const value = await body(tx);
    await ended;
    return value;
  } catch (error) {
    ended.catch(() => undefined);
    if (over && error instanceof DOMException) throw tooLate();
    if (!undone) abort(tx);
    throw fileError(error);
  }
}

function abort(tx: IDBTransaction): void {
  try {
    tx.abort();
  } catch {
    // It has ended by itself: there is nothing left to undo.
  }
}

/** What IndexedDB throws, as an error with a code; any other error as it is. */
export function fileError(error: unknown): Error {
  if (!(error instanceof DOMException)) return error instanceof Error ? error : new Error(String(error));
  const details = { reason: error.name };
  if (error.name === "QuotaExceededError") {
    const says = "the browser gives this site no more room; make room or ask for persistent storage";
    return new HoldfastError("disk_full", says, details);
  }
  if (error.name === "TransactionInactiveError") return tooLate();
  return new HoldfastError("file_unusable", `the database cannot be used: ${error.message}`, details);
}

function tooLate(): HoldfastError {
  const says = "the transaction has ended: await nothing in it but its own methods. Nothing of it was written";
  return new HoldfastError("transaction_closed", says);
}
