/** A timer of Node waits so long at most, in milliseconds; anything longer it makes 1. */
const STEP_MS_MAX = 2 ** 31 - 1

/** A callback to come. */
export interface PoolTimer {
  /** Calls it off; again, or once it was called, is nothing. */
  cancel(): void
  /** Whether the thread lives until then. */
  setReferenced(isReferenced: boolean): void
}

/** Calls back after a time, also one that is longer than a timer of Node can wait. */
export function setLongTimer(
  delayMs: number,
  callback: () => void,
  keepsAlive: boolean,
): PoolTimer {
  let isReferenced = keepsAlive
  let timer: NodeJS.Timeout
  const wait = (leftMs: number): void => {
    const stepMs = Math.min(leftMs, STEP_MS_MAX)
    timer = setTimeout(() => {
      if (leftMs > stepMs) wait(leftMs - stepMs)
      else callback()
    }, stepMs)
    if (!isReferenced) timer.unref()
  }
  wait(delayMs)
  return {
    cancel: () => clearTimeout(timer),
    setReferenced: (mustKeep) => {
      isReferenced = mustKeep
      if (mustKeep) timer.ref()
      else timer.unref()
    },
  }
}
