import { AsyncLocalStorage } from 'node:async_hooks'

/** A module that is being loaded, as what runs while it is evaluated sees it. */
interface Loading {
  readonly module: string
  isOver: boolean
}

/** By what is evaluated rather than by the thread: other modules are loaded, and work is run, at the same time. */
const storage = new AsyncLocalStorage<Loading>()
let loadingCount = 0

/** Calls `load`, which loads a module; {@link loadingModule} is that one to what it evaluates. */
export async function markLoading<T>(module: string, load: () => Promise<T>): Promise<T> {
  const loading: Loading = { module, isOver: false }
  loadingCount++
  try {
    return await storage.run(loading, load)
  } finally {
    // What the module has left behind, a timer say, is not its loading any more.
    loading.isOver = true
    // While one is in use each promise costs more.
    if (--loadingCount === 0) storage.disable()
  }
}

/** The module that the caller is evaluated for: it must not start a pool of itself, or that would never end. Else null. */
export function loadingModule(): string | null {
  if (loadingCount === 0) return null
  const loading = storage.getStore()
  return loading === undefined || loading.isOver ? null : loading.module
}
