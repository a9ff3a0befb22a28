/**
 * Undoes what must not outlive the harness (children, block devices), however it ends.
 *
 * Synchronous, since the last chance is the `exit` event; SIGKILL alone escapes it.
 */

const cleanups = new Set<() => void>()
let installed = false

/** Runs `cleanup` when the process ends, unless the returned function is called first. */
export function onExit(cleanup: () => void): () => void {
  if (!installed) install()
  cleanups.add(cleanup)
  return () => cleanups.delete(cleanup)
}

function install(): void {
  installed = true
  process.on('exit', () => {
    // Last in, first out: readers of a device die before the device is removed.
    for (const cleanup of [...cleanups].reverse()) {
      try {
        cleanup()
      } catch (error) {
        process.stderr.write(`Cannot clean up: ${String(error)}\n`)
      }
    }
  })
  for (const [signal, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
    ['SIGQUIT', 3],
  ] as const) {
    process.on(signal, () => process.exit(128 + number))
  }
}
