// Rounds over HTTP. The browser decompresses answers; requests over 1 KiB go out in gzip.
import { HoldfastError } from "../errors";
import { decodeError } from "../protocol/codec";
import { Meter } from "../protocol/meter";

const COMPRESS_OVER = 1024;
const MAX_ERROR = 64 * 1024;

/** The token of a device, or a function that fetches one; null: the site's cookies are enough. */
export type Token = string | null | (() => string | null | Promise<string | null>);

/** One request that was sent, and its streamed answer. */
export interface Exchange {
  readonly status: number;
  /** The body, in pieces as they arrive; throws `network` when the connection breaks. */
  chunks(): AsyncGenerator<Uint8Array>;
  /** The hub's error of a status that is not 200. */
  error(): Promise<HoldfastError>;
}

export class Http {
  readonly meter = new Meter();
  private readonly aborting = new Set<AbortController>();

  /** `url` is that of the hub, without `/v1/sync`. */
  constructor(
    readonly url: string,
    private readonly token: Token,
  ) {}

  /** The credentials as they are now. */
  async credentials(): Promise<string | null> {
    return typeof this.token === "function" ? this.token() : this.token;
  }

  /** Send a request; resolves when the head of its answer is here. Throws `network`. */
  async exchange(body: Uint8Array): Promise<Exchange> {
    const abort = new AbortController();
    this.aborting.add(abort);
    const watch = new Silence(() => {
      abort.abort();
    });
    watch.expect(this.meter.silence(body.length));
    const began = performance.now();
    try {
      const response = await this.send(body, abort.signal);
      this.meter.answered(body.length, (performance.now() - began) / 1000);
      this.meter.delivered(body.length);
      return new HttpExchange(this.url, response, this.meter, watch, () => this.aborting.delete(abort));
    } catch (error) {
      watch.end();
      this.aborting.delete(abort);
      this.meter.lost(body.length);
      throw broken(this.url, error);
    }
  }

  /** Break off what is under way. */
  abort(): void {
    for (const one of this.aborting) one.abort();
  }

  private async send(body: Uint8Array, signal: AbortSignal): Promise<Response> {
    const token = await this.credentials();
    const headers: Record<string, string> = { "Content-Type": "application/json" };
    if (token !== null) headers["Authorization"] = `Bearer ${token}`;
    const isLarge = body.length > COMPRESS_OVER;
    if (isLarge) headers["Content-Encoding"] = "gzip";
    const sent = isLarge ? await gzip(body) : body.slice();
    return fetch(`${this.url}/v1/sync`, { method: "POST", headers, body: sent, signal, cache: "no-store" });
  }
}

class HttpExchange implements Exchange {
  readonly status: number;

  constructor(
    private readonly url: string,
    private readonly response: Response,
    private readonly meter: Meter,
    private readonly watch: Silence,
    private readonly ended: () => void,
  ) {
    this.status = response.status;
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    const reader = this.response.body?.getReader();
    let [size, waited] = [0, 0];
    try {
      for (;;) {
        const began = performance.now();
        this.watch.expect(this.meter.silence(0));
        const read = await reader?.read();
        this.watch.end();
        waited += (performance.now() - began) / 1000;
        if (read?.value === undefined) break;
        size += read.value.length;
        yield read.value;
      }
      this.meter.read(size, waited);
    } catch (error) {
      this.meter.cut(size);
      throw broken(this.url, error);
    } finally {
      this.watch.end();
      this.ended();
      await reader?.cancel().catch(() => undefined);
    }
  }

  async error(): Promise<HoldfastError> {
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const part of this.chunks()) {
      parts.push(part);
      size += part.length;
      if (size > MAX_ERROR) break;
    }
    const body = new Uint8Array(await new Blob(parts.map((part) => part.slice())).arrayBuffer());
    const said = decodeError(body);
    const details: Record<string, unknown> = { ...said?.details, status: this.status };
    const wait = secondsOf(this.response.headers.get("retry-after"));
    if (wait !== null) details["retry_after"] = wait;
    if (said !== null) return new HoldfastError(said.code, said.message, details);
    return new HoldfastError("hub_error", `the answer is HTTP ${this.status} and not the hub's`, details);
  }
}

/** Calls `late` when nothing comes for as long as was expected. */
class Silence {
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly late: () => void) {}

  expect(seconds: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.late, seconds * 1000);
  }

  end(): void {
    clearTimeout(this.timer);
  }
}

/** What a fetch throws, as `network`. */
function broken(url: string, error: unknown): Error {
  if (error instanceof HoldfastError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new HoldfastError("network", `${url}: no answer, or one that broke off: ${reason}`, { url });
}

async function gzip(body: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([body.slice()]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Seconds of a Retry-After header: a number, or the time until a date. */
function secondsOf(text: string | null): number | null {
  if (text === null) return null;
  if (/^[0-9]+$/.test(text.trim())) return Number(text);
  const date = Date.parse(text);
  return Number.isNaN(date) ? null : Math.max(0, (date - Date.now()) / 1000);
}
