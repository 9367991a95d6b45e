"""Pure merge code: no I/O, no clock, no randomness. Mirrored file by file in `web/packages/client/src/kernel`."""
