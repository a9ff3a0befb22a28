import type { WriteStream } from 'node:tty'

const ENTER = '\x1b[?1049h\x1b[?25l'
const LEAVE = '\x1b[?25h\x1b[?1049l'
const HOME = '\x1b[H'
const CLEAR_LINE = '\x1b[K'
const CLEAR_REST = '\x1b[J'
/** Where a terminal does not tell, or says that it has none. */
const ROWS = 24
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** A terminal that is drawn over, and left as it was: also when a signal ends the command. */
export class Screen implements Disposable {
  /** Resolves once the user has ended it. */
  readonly ended: Promise<void>
  readonly #stream: WriteStream
  readonly #onSignal: () => void
  #isOpen = true

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream as WriteStream
    let end = (): void => {}
    this.ended = new Promise((resolve) => {
      end = resolve
    })
    this.#onSignal = end
    for (const signal of SIGNALS) process.on(signal, this.#onSignal)
    this.#stream.write(ENTER)
  }

  /** Shows lines in the place of what was there; those that there is no room for are left out. */
  draw(lines: readonly string[]): void {
    const rows = Math.max(1, (this.#stream.rows || ROWS) - 1)
    const shown = lines.length <= rows ? lines : [...lines.slice(0, rows - 1), '…']
    const text = shown.map((line) => `${line}${CLEAR_LINE}\n`).join('')
    this.#stream.write(`${HOME}${text}${CLEAR_REST}`)
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    for (const signal of SIGNALS) process.off(signal, this.#onSignal)
    this.#stream.write(LEAVE)
  }
}
