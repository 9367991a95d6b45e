// What the tests of one file work in: a hub, a site before it, a browser, and a device in Python. Made before the first
// test, gone after the last one.
import { afterAll, beforeAll } from "vitest";
import { Browser, Site } from "./harness";
import { Hub, type PythonDevice } from "./python";

export interface Wanted {
  /** Without it the site has no hub behind it. */
  readonly hub?: boolean;
  readonly python?: boolean;
  /** What is to be done with all of it before the first test, and how many milliseconds it may take. */
  readonly then?: (world: World) => Promise<void>;
  readonly limit?: number;
}

export class World {
  private readonly made: { hub?: Hub; site?: Site; browser?: Browser; python?: PythonDevice } = {};

  get hub(): Hub {
    return there(this.made.hub);
  }

  get site(): Site {
    return there(this.made.site);
  }

  get browser(): Browser {
    return there(this.made.browser);
  }

  get python(): PythonDevice {
    return there(this.made.python);
  }

  async start({ hub, python, then }: Wanted): Promise<void> {
    if (hub === true || python === true) this.made.hub = await Hub.start();
    [this.made.site, this.made.browser] = await Promise.all([Site.start(this.made.hub?.port ?? null), Browser.start()]);
    if (python === true) this.made.python = await this.hub.device("python");
    await then?.(this);
  }

  /** Whatever there is goes, in the order in which nothing waits for another. */
  async stop(): Promise<void> {
    await this.made.python?.stop();
    await this.made.browser?.stop();
    await this.made.site?.stop();
    await this.made.hub?.stop();
  }
}

/** The world of a test file. To be called at its top. */
export function world(wanted: Wanted): World {
  const made = new World();
  beforeAll(() => made.start(wanted), wanted.limit ?? 60_000);
  afterAll(() => made.stop(), 30_000);
  return made;
}

function there<T>(thing: T | undefined): T {
  if (thing !== undefined) return thing;
  throw new Error("the world of this file does not have it");
}
