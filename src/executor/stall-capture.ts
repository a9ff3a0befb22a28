/** Has a thread take its own stack, by way of the inspector: whatever JavaScript is doing there. */
import type { Session } from 'node:inspector'
import { HEADER_CAPTURING } from '../kernel/index.ts'
import { CAPTURE_KEY } from './stall-report.ts'

// Some builds of Node have none; the reports then are without a stack.
const inspector = await import('node:inspector').catch(() => null)

interface Evaluation {
  readonly result?: { readonly value?: unknown }
}

/** Takes stacks of one thread, one at a time. */
export class StackCapture {
  readonly #threadNumber: number
  readonly #header: Int32Array
  #session: Session | null = null

  constructor(threadNumber: number, header: Int32Array) {
    this.#threadNumber = threadNumber
    this.#header = header
  }

  /**
   * Asks for the stack of the turn numbered `sequence`. `keep` gets it soon, or once a native call has returned, or never.
   *
   * @throws {Error} where this Node has no inspector.
   */
  begin(sequence: number, keep: (stack: string) => void): void {
    this.end()
    if (inspector === null) throw new Error('this Node has no inspector')
    // Connected no longer than needed: a process that exits would wait for it, and say so.
    const session = new inspector.Session()
    session.connectToMainThread()
    this.#session = session
    Atomics.add(this.#header, HEADER_CAPTURING, 1)
    const answered = (answer: Evaluation | undefined): void => {
      const text = answer?.result?.value
      if (typeof text === 'string') keep(text)
      if (this.#session === session) this.end()
    }
    const request = {
      expression: `globalThis[Symbol.for(${JSON.stringify(CAPTURE_KEY)})]?.(${sequence})`,
      returnByValue: true,
      silent: true,
    }
    if (this.#threadNumber === 0) {
      session.post('Runtime.evaluate', request, (_, answer) =>
        answered(answer as Evaluation | undefined),
      )
    } else {
      this.#evaluateInWorker(session, request, answered)
    }
  }

  /** Disconnects, if it is connected. */
  end(): void {
    if (this.#session === null) return
    this.#session.disconnect()
    this.#session = null
    Atomics.sub(this.#header, HEADER_CAPTURING, 1)
  }

  /** Goes through the main thread, which hands on messages even while it is busy. */
  #evaluateInWorker(
    session: Session,
    params: object,
    answered: (answer: Evaluation | undefined) => void,
  ): void {
    const title = `[worker ${this.#threadNumber}]`
    session.on('NodeWorker.attachedToWorker', ({ params: { sessionId, workerInfo } }) => {
      if (!workerInfo.title.startsWith(title)) return
      const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params })
      session.post('NodeWorker.sendMessageToWorker', { sessionId, message })
    })
    session.on('NodeWorker.receivedMessageFromWorker', ({ params: { message } }) => {
      const answer = JSON.parse(message) as { id?: number; result?: Evaluation }
      if (answer.id === 1) answered(answer.result)
    })
    session.post('NodeWorker.enable', { waitForDebuggerOnStart: false })
  }
}
