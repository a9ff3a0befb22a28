let isBlocking = false
let loading: string | null = null

/** Says that this thread is one of a pool. */
export function markBlockingThread(): void {
  isBlocking = true
}

export function isBlockingThread(): boolean {
  return isBlocking
}

/** Says which module this thread is loading to find a function in, or null. */
export function markLoading(module: string | null): void {
  loading = module
}

/** The module that is being loaded: if it called into another thread, that thread would load it as well, without end. */
export function loadingModule(): string | null {
  return loading
}
