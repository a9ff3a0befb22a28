/** Says on stderr what is being done: in place on a terminal, else a line for each part. */
export interface Progress {
  /** A new part begins. */
  part(text: string): void
  /** What of the part is under way; shown on terminals only. */
  detail(text: string): void
  /** Leaves the line empty for what follows. */
  clear(): void
}

export function createProgress(stream: NodeJS.WriteStream): Progress {
  if (!stream.isTTY) {
    return {
      part: (text) => void stream.write(`${text} …\n`),
      detail: () => {},
      clear: () => {},
    }
  }
  let current = ''
  const show = (text: string): void => {
    // A longer line would wrap, and the return to its start would miss the first row.
    stream.write(`\r\x1b[K${text.slice(0, Math.max(0, stream.columns - 1))}`)
  }
  return {
    part(text) {
      current = text
      show(`${text} …`)
    },
    detail: (text) => show(`${current}: ${text} …`),
    clear: () => show(''),
  }
}
