/** One call, which takes what it wants as soon as that is there. */
export interface Read<T> {
  readonly action: string
  /** How many bytes it wants at least, if that is known; else 0. */
  readonly expectedBytes: number
  /** Its answer from what has come; undefined if more has to. @throws what refuses it for good. */
  take(): T | undefined
  /** Its answer where nothing more comes. @throws if that is too little. */
  takeEnd(): T
}
