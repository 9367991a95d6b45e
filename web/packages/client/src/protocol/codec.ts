// Bytes to messages and back. Every function either gives a whole, checked message or throws a coded error.
import type { Wire } from "../kernel/column";
import type { Members } from "../kernel/values";
import { HoldfastError } from "../errors";
import { parseUnicode, write } from "./json";
import * as m from "./messages";
import type { Shape } from "./shapes";

export const MAX_LINE = 64 * 1024 * 1024;
const NEWLINE = 10;

const utf8 = new TextEncoder();
// Keeps a byte order mark, which is not JSON, and refuses what is not UTF-8.
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The bytes of a request. Members that a reader fills in by itself are left out. */
export function encodeRequest(message: m.Request): Uint8Array {
  const { protocol, device, schema, clock, layout, cursors, acknowledged, limit, page, digests, echo, user, history } =
    message;
  const asked = Object.entries(message.compare).map(([space, { turn, branches, parts, rows, names }]) => [
    space,
    compact({}, { turn, branches, parts, rows, names }),
  ]);
  const compare = Object.fromEntries(asked) as Members;
  const { blocks, image } = message;
  const transactions = message.transactions.map(({ origin, n, ops, label, withdrawn }) =>
    compact({ origin, n, ops: ops.map(operationForm) }, { label, withdrawn }),
  );
  const want = message.want === null ? null : compact({}, message.want);
  const restore = message.restore.map(({ set, seen, ...named }) => compact(named, { set, seen }));
  const form = compact(
    { protocol, device, schema, clock },
    {
      ...{ layout, cursors, acknowledged, transactions, limit, page, want, digests, echo, user, compare, blocks },
      ...{ history, restore, image, sent: message.sent, whole: message.whole },
    },
  );
  return utf8.encode(write(form));
}

/** The bytes of a short request. */
export function encodeShortRequest({ same, want }: m.ShortRequest): Uint8Array {
  return utf8.encode(write(compact({ same }, { want: want === null ? null : compact({}, want) })));
}

/** A short request from its bytes. Throws `request_malformed`. */
export function decodeShortRequest(body: Uint8Array): m.ShortRequest {
  const says = "the short request is not what spec/protocol.md describes";
  return decode(m.shortRequest, body, "request_malformed", says);
}

/** The answer to a short request from its bytes. Throws `response_malformed`. */
export function decodeShortAnswer(body: Uint8Array): m.ShortAnswer {
  const says = "the answer to a short request is not what spec/protocol.md describes";
  return decode(m.shortAnswer, body, "response_malformed", says);
}

/** A request from its bytes. Throws `request_too_large`, `request_malformed` or `protocol_version`. */
export function decodeRequest(body: Uint8Array): m.Request {
  if (body.length > m.MAX_REQUEST) {
    throw new HoldfastError(
      "request_too_large",
      `the request has ${body.length} bytes; at most ${m.MAX_REQUEST} are taken`,
    );
  }
  const message = decode(m.request, body, "request_malformed", "the request is not what spec/protocol.md describes");
  if (message.protocol !== m.PROTOCOL) {
    throw new HoldfastError(
      "protocol_version",
      `the request speaks protocol ${message.protocol}, this hub speaks ${m.PROTOCOL}; update the older side`,
      { supported: [m.PROTOCOL] },
    );
  }
  return message;
}

/** A header, page or footer from one line. Throws `response_malformed`. */
export function decodeLine(line: Uint8Array): m.Line {
  const { header, page, footer } = decode(
    m.line,
    line,
    "response_malformed",
    "the hub's answer has a line that cannot be read",
  );
  if (header !== null && page === null && footer === null) return { kind: "header", header };
  if (header === null && page !== null && footer === null) return { kind: "page", page };
  if (header === null && page === null && footer !== null) return { kind: "footer", footer };
  throw new HoldfastError("response_malformed", "a line of the hub's answer has not exactly one kind");
}

/** The error that a hub answered, or null when the body is not one of ours (a proxy's page, for example). */
export function decodeError(body: Uint8Array): m.ErrorBody | null {
  try {
    return decode(m.errorBody, body, "response_malformed", "not an error of a hub");
  } catch (error) {
    if (error instanceof HoldfastError) return null;
    throw error;
  }
}

/**
 * A function that takes the chunks of a stream one by one and gives the lines that each completes, without the newline.
 * A last line without newline is never given: it is cut off. Throws `response_malformed` beyond 64 MiB a line.
 */
export function lineCutter(): (chunk: Uint8Array) => Uint8Array[] {
  let rest: Uint8Array[] = [];
  let size = 0;
  return (chunk) => {
    const lines: Uint8Array[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      lines.push(joined([...rest, chunk.subarray(start, end)], size + end - start));
      rest = [];
      size = 0;
      start = end + 1;
    }
    if (start < chunk.length) {
      rest.push(chunk.slice(start));
      size += chunk.length - start;
      if (size > MAX_LINE) {
        throw new HoldfastError("response_malformed", `a line of the hub's answer is longer than ${MAX_LINE} bytes`);
      }
    }
    return lines;
  };
}

function operationForm(operation: m.Insert | m.Update | m.Delete): Wire {
  const { op, table, key, stamp, life, ...rest } = operation;
  return compact({ op, table, key, stamp }, { life, ...rest });
}

/** The members that must be there, and those of the others that are not at their default. */
function compact(required: Members, others: Members): Members {
  return { ...required, ...Object.fromEntries(Object.entries(others).filter(([, value]) => !isDefault(value))) };
}

function isDefault(value: Wire): boolean {
  return typeof value === "object" && value !== null ? Object.keys(value).length === 0 : !value;
}

function joined(parts: Uint8Array[], size: number): Uint8Array {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function decode<T>(shape: Shape<T>, bytes: Uint8Array, code: string, says: string): T {
  try {
    return shape(parseUnicode(strict.decode(bytes)), "$");
  } catch (error) {
    // SyntaxError: not JSON or not this message; TypeError: not UTF-8; RangeError: nested too deep.
    if (error instanceof SyntaxError || error instanceof TypeError || error instanceof RangeError) {
      throw new HoldfastError(code, `${says}: ${error.message}`);
    }
    throw error;
  }
}
