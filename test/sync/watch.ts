import { yieldNow } from '../../src/index.ts'

/** What has become of a promise so far. */
export interface Watched<T> {
  state: 'pending' | 'fulfilled' | 'rejected'
  value: T | undefined
  /** Of the error, or its message if it has none. */
  code: string | undefined
}

/** Observes a promise, without waiting for it; see {@link settle}. */
export function watch<T>(promise: PromiseLike<T>): Watched<T> {
  const watched: Watched<T> = { state: 'pending', value: undefined, code: undefined }
  promise.then(
    (value) => {
      watched.state = 'fulfilled'
      watched.value = value
    },
    (error: { code?: string; message?: string }) => {
      watched.state = 'rejected'
      watched.code = error?.code ?? error?.message ?? String(error)
    },
  )
  return watched
}

/**
 * Lets everything settle that has been granted: it is ahead of us in the default queue.
 *
 * Two rounds, for what the first one's continuations grant.
 */
export async function settle(): Promise<void> {
  await yieldNow()
  await yieldNow()
}
