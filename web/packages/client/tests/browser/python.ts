// Python processes beside a browser: a hub, and a device that is told what to do.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import readline from "node:readline";
import { fileURLToPath } from "node:url";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const PYTHON = process.env["HOLDFAST_PYTHON"] ?? path.join(HERE, "../../../../../.venv/bin/python");

/** A process that speaks lines of JSON. */
class Speaking {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;

  constructor(script: string, ...given: string[]) {
    const stdio: ["pipe", "pipe", "inherit"] = ["pipe", "pipe", "inherit"];

    this.child = spawn(PYTHON, [path.join(HERE, script), ...given], { stdio });
    if (this.child.stdout === null) throw new Error("no output");
    this.lines = readline.createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  async next(): Promise<unknown> {
    const { value, done } = (await this.lines.next()) as { value: string; done?: boolean };
    if (done === true) throw new Error("the process has ended");
    return JSON.parse(value);
  }

  say(message: unknown): void {
    this.child.stdin?.write(`${JSON.stringify(message)}\n`);
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.child.on("exit", resolve));
    this.child.stdin?.end();
    if (this.child.exitCode === null) await ended;
  }
}

/** A hub on a free port, with a file of its own. */
export class Hub {
  private readonly place = mkdtempSync(path.join(os.tmpdir(), "holdfast-hub-"));
  private process: Speaking | undefined;
  port = 0;

  static async start(): Promise<Hub> {
    const hub = new Hub();
    hub.process = new Speaking("hub.py", path.join(hub.place, "hub.db"));
    hub.port = ((await hub.process.next()) as { port: number }).port;
    return hub;
  }

  /** A device in Python at this hub. */
  async device(name: string): Promise<PythonDevice> {
    const url = `http://127.0.0.1:${this.port}`;
    return PythonDevice.start(path.join(this.place, `${name}.db`), url);
  }

  async stop(): Promise<void> {
    await this.process?.end();
    rmSync(this.place, { recursive: true, force: true });
  }
}

export class PythonDevice {
  private constructor(private readonly process: Speaking) {}

  static async start(file: string, url: string): Promise<PythonDevice> {
    const device = new PythonDevice(new Speaking("device.py", file, url));
    await device.process.next();
    return device;
  }

  async execute(sql: string, ...parameters: unknown[]): Promise<Record<string, unknown>[]> {
    return (await this.ask("execute", sql, parameters)) as Record<string, unknown>[];
  }

  async sync(): Promise<{ pushed: number; pulled: number; refused: number }> {
    return (await this.ask("sync")) as { pushed: number; pulled: number; refused: number };
  }

  async verify(): Promise<boolean> {
    return (await this.ask("verify")) === true;
  }

  async stop(): Promise<void> {
    await this.process.end();
  }

  private ask(...command: unknown[]): Promise<unknown> {
    this.process.say(command);
    return this.process.next();
  }
}
