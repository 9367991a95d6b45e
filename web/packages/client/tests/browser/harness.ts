// A real Chromium with a profile of its own, and a server for its page on 127.0.0.1, which stands before a hub, too.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import type net from "node:net";
import os from "node:os";
import path from "node:path";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

import { type BrowserContext, chromium, type Page as Tab } from "playwright-core";
import { CHROMIUM } from "./chromium";

const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]; // prettier-ignore

let bundled: Promise<string> | undefined;

function bundle(): Promise<string> {
  const entry = fileURLToPath(new URL("page.ts", import.meta.url));
  bundled ??= build({ entryPoints: [entry], bundle: true, format: "iife", target: "es2022", write: false }).then(
    ({ outputFiles }) => outputFiles[0]?.text ?? "",
  );
  return bundled;
}

/** Serves the page, and passes `/v1/...` on to a hub as long as `online`. */
export class Site {
  online = true;
  url = "";
  /** After so many bytes of an answer nothing more comes, and the connection stays open; `stalled` counts such answers. */
  stallAfter = Infinity;
  stalled = 0;
  private readonly sockets = new Set<net.Socket>();

  private constructor(
    private readonly server: http.Server,
    readonly hub: number | null,
  ) {}

  static async start(hub: number | null = null): Promise<Site> {
    const script = await bundle();
    const server = http.createServer((request, response) => {
      if (request.url?.startsWith("/v1/") === true) {
        site.pass(request, response);
        return;
      }
      const isScript = request.url === "/page.js";
      response.writeHead(200, { "Content-Type": isScript ? "text/javascript" : "text/html" });
      response.end(isScript ? script : '<!doctype html><meta charset="utf-8"><script src="/page.js"></script>');
    });
    const site = new Site(server, hub);
    server.on("connection", (socket) => {
      site.sockets.add(socket);
      socket.on("close", () => site.sockets.delete(socket));
    });
    server.on("upgrade", (request, socket) => {
      site.upgrade(request, socket);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    site.url = `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
    return site;
  }

  /** Break every connection that there is. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private pass(request: http.IncomingMessage, response: http.ServerResponse): void {
    if (!this.online || this.hub === null) {
      request.socket.destroy();
      return;
    }
    const { method, url, headers } = request;
    const onward = http.request({ host: "127.0.0.1", port: this.hub, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      if (this.stallAfter === Infinity) answer.pipe(response);
      else this.stall(answer, response);
      answer.on("error", () => response.destroy());
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  }

  private stall(answer: http.IncomingMessage, response: http.ServerResponse): void {
    let left = this.stallAfter;
    answer.on("data", (piece: Buffer) => {
      if (left <= 0) return;
      response.write(piece.subarray(0, left));
      left -= piece.length;
      if (left <= 0) this.stalled++;
    });
    answer.on("end", () => {
      if (left > 0) response.end();
    });
  }

  private upgrade(request: http.IncomingMessage, socket: Duplex): void {
    if (!this.online || this.hub === null) {
      socket.destroy();
      return;
    }
    const { method, url, headers } = request;
    const onward = http.request({ host: "127.0.0.1", port: this.hub, method, path: url, headers });
    onward.on("upgrade", (answer, other) => {
      const lines = Object.entries(answer.headers).map(([name, value]) => `${name}: ${String(value)}`);
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join("\r\n")}\r\n\r\n`);
      socket.pipe(other).pipe(socket);
      socket.on("error", () => other.destroy());
      other.on("error", () => socket.destroy());
      socket.on("close", () => other.destroy());
      other.on("close", () => socket.destroy());
    });
    onward.on("response", () => socket.destroy());
    onward.on("error", () => socket.destroy());
    onward.end();
  }
}

/** A browser process with a profile; `kill` ends it as a crash would, and `start` takes the same profile again. */
export class Browser {
  context: BrowserContext | undefined;
  private readonly profile = mkdtempSync(path.join(os.tmpdir(), "holdfast-browser-"));

  static async start(): Promise<Browser> {
    const browser = new Browser();
    await browser.start();
    return browser;
  }

  async start(): Promise<void> {
    const options = { executablePath: CHROMIUM, headless: true, args: ARGUMENTS, viewport: null };
    this.context = await chromium.launchPersistentContext(this.profile, options);
  }

  /** A tab with the page of a site, ready. */
  async tab(site: Site): Promise<Tab> {
    if (this.context === undefined) throw new Error("the browser is not running");
    const tab = await this.context.newPage();
    await tab.goto(site.url);
    return tab;
  }

  /** End the process at once, as a crash or the power would. */
  async kill(): Promise<void> {
    const closed = new Promise((resolve) => this.context?.once("close", resolve));
    for (const name of readdirSync("/proc").filter((one) => /^[0-9]+$/.test(one))) {
      if (isMain(name, this.profile)) process.kill(Number(name), "SIGKILL");
    }
    await closed;
    this.context = undefined;
  }

  async stop(): Promise<void> {
    await this.context?.close();
    this.context = undefined;
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Whether a process is the browser of that profile, and not one of its children, which go with it. */
function isMain(pid: string, profile: string): boolean {
  try {
    const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    return line.includes(profile) && !line.includes("--type=");
  } catch {
    return false; // it has ended meanwhile
  }
}
