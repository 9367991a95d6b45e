// Being told of something now and after every change: changes that come while it is read are told of together.
import type { Device, Message } from "./device";

/** Call `told` with what `read` gives now and whenever a message `concerns` it, until the given function is called. */
export function watch<T>(
  device: Device,
  read: () => Promise<T>,
  concerns: (message: Message) => boolean,
  told: (value: T) => void,
  failed: (error: unknown) => void = reportError,
): () => void {
  let [running, again, ended] = [false, false, false];
  const isOver = (): boolean => ended;
  const look = async (): Promise<void> => {
    again = true;
    if (running) return;
    running = true;
    while (again && !isOver()) {
      again = false;
      try {
        const value = await read();
        if (!isOver()) told(value);
      } catch (error) {
        if (!isOver()) failed(error);
      }
    }
    running = false;
  };
  const stop = device.listen((message) => {
    if (concerns(message)) void look();
  });
  void look();
  return () => {
    ended = true;
    stop();
  };
}
