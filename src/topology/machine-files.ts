import { parseNumberList, RuntimeError } from '../base/index.ts'
import type { MachinePort } from '../kernel/index.ts'

/**
 * Reads files of /sys and /proc, each once. One that can't be read says nothing; one that says nonsense is
 * refused.
 */
export class MachineFiles {
  readonly #port: MachinePort
  readonly #texts = new Map<string, string | null>()

  constructor(port: MachinePort) {
    this.#port = port
  }

  /** Without the last newline; null for a file that is missing, or that we may not read. */
  text(path: string): string | null {
    const known = this.#texts.get(path)
    if (known !== undefined) return known
    const answer = this.#port.readTextFile(path)
    const text = typeof answer === 'string' ? answer.trimEnd() : null
    this.#texts.set(path, text)
    return text
  }

  /** @throws {RuntimeError} `ERR_TOPOLOGY_UNREADABLE` */
  list(path: string): number[] | null {
    const text = this.text(path)
    if (text === null) return null
    return parseNumberList(text) ?? refuse(path, 'a list of numbers', text)
  }

  /** @throws {RuntimeError} `ERR_TOPOLOGY_UNREADABLE` */
  number(path: string): number | null {
    const text = this.text(path)
    if (text === null) return null
    return /^-?\d+$/.test(text) ? Number(text) : refuse(path, 'a number', text)
  }
}

function refuse(path: string, expected: string, text: string): never {
  throw new RuntimeError(
    'ERR_TOPOLOGY_UNREADABLE',
    `Cannot read the topology as ${path} must be ${expected}: current value is ${JSON.stringify(text)}`,
  )
}
