/** A timer of Node waits so long at most, in milliseconds; anything longer it makes 1. */
const STEP_MS_MAX = 2 ** 31 - 1

/**
 * Calls back after a time, also one that is longer than a timer of Node can wait; what is returned calls it off.
 *
 * @param keepsAlive - Whether the thread lives until then.
 */
export function setLongTimer(
  delayMs: number,
  callback: () => void,
  keepsAlive: boolean,
): () => void {
  let timer: NodeJS.Timeout
  const wait = (leftMs: number): void => {
    const stepMs = Math.min(leftMs, STEP_MS_MAX)
    timer = setTimeout(() => {
      if (leftMs > stepMs) wait(leftMs - stepMs)
      else callback()
    }, stepMs)
    if (!keepsAlive) timer.unref()
  }
  wait(delayMs)
  return () => clearTimeout(timer)
}
