// A live channel (spec/protocol.md, section 8): one WebSocket, whose messages come one by one.
import { HoldfastError } from "../errors";
import { decodeError } from "../protocol/codec";
import { type Here, presenceIn } from "./presence";

const OPEN_SECONDS = 10;
const ERROR_CODES = 4000;

/** What a channel brings: a piece of an answer, who is present, or its end. */
export interface Told {
  piece(bytes: Uint8Array): void;
  present(here: Here): void;
  lost(error: HoldfastError): void;
}

export class LiveLink {
  private constructor(
    private readonly socket: WebSocket,
    private readonly told: Told,
  ) {}

  /** Open a channel to the hub at `url`; throws `network` when none comes about. */
  static async open(url: string, token: string | null, told: Told): Promise<LiveLink> {
    const bearer = token === null ? [] : [`holdfast.bearer.${token}`];
    let socket: WebSocket;
    try {
      socket = new WebSocket(`${url.replace(/^http/, "ws")}/v1/live`, ["holdfast.1", ...bearer]);
    } catch (error) {
      throw unreachable(url, String(error)); // a token that cannot stand in the name of a subprotocol
    }
    socket.binaryType = "arraybuffer";
    const timer = setTimeout(() => {
      socket.close();
    }, OPEN_SECONDS * 1000);
    try {
      await new Promise<void>((resolve, reject) => {
        socket.onopen = () => {
          resolve();
        };
        socket.onclose = () => {
          reject(unreachable(url, "it was closed before it was open"));
        };
      });
    } finally {
      clearTimeout(timer);
    }
    const link = new LiveLink(socket, told);
    link.listen(url);
    return link;
  }

  send(message: Uint8Array | string): void {
    this.socket.send(typeof message === "string" ? message : message.slice());
  }

  close(): void {
    this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
  }

  private listen(url: string): void {
    let said: HoldfastError | null = null;
    this.socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
      if (typeof data !== "string") {
        this.told.piece(new Uint8Array(data));
        return;
      }
      const error = decodeError(new TextEncoder().encode(data));
      if (error !== null) {
        said = new HoldfastError(error.code, error.message, error.details);
        return;
      }
      try {
        const here = presenceIn(data);
        if (here !== null) this.told.present(here);
      } catch (failure) {
        const says = `the hub tells of presence unreadably: ${String(failure)}`;
        this.told.lost(new HoldfastError("response_malformed", says));
      }
    };
    this.socket.onclose = ({ code, reason }) => {
      const status = code > ERROR_CODES && code < ERROR_CODES + 200 ? code - ERROR_CODES + 400 : 0;
      const lost = said ?? unreachable(url, reason || `it was closed with ${code}`);
      this.told.lost(status > 0 ? new HoldfastError(lost.code, lost.message, { ...lost.details, status }) : lost);
    };
  }
}

function unreachable(url: string, reason: string): HoldfastError {
  return new HoldfastError("network", `${url}: no live channel: ${reason}`, { url });
}
