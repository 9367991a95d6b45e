// The one error that Holdfast throws at its own boundaries.

/** Something is wrong and the message says what to do. `code` is stable for ever: docs/reference/errors.md. */
export class HoldfastError extends Error {
  override readonly name = "HoldfastError";

  constructor(
    readonly code: string,
    message: string,
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }
}
