let loading: string | null = null

/** Says which module this thread's shard is being loaded from, or null once it is. */
export function markLoading(module: string | null): void {
  loading = module
}

/** The module that this thread's shard is being loaded from: it must not start a pool of itself, or that would never end. */
export function loadingModule(): string | null {
  return loading
}
