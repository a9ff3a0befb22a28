/** A client of the log of examples/, by Node's own sockets. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import {
  APPEND,
  encodeFrame,
  encodeOffset,
  type Frame,
  FrameParser,
  READ,
} from '../../examples/log/protocol.ts'

/** Sends requests, and gives the answers in their order. */
export class LogClient {
  readonly #socket: Socket
  readonly #waiting: { resolve: (frame: Frame) => void; reject: (error: unknown) => void }[] = []
  readonly #parser = new FrameParser()

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => {
      for (const { kind, body } of this.#parser.push(chunk)) {
        this.#waiting.shift()!.resolve({ kind, body: Buffer.from(body) })
      }
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error('the server has left'))
    })
  }

  static async connect(port: number): Promise<LogClient> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    return new LogClient(socket)
  }

  ask(kind: number, body: Uint8Array): Promise<Frame> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#socket.write(encodeFrame(kind, body))
    })
  }

  /** Bytes as they are, for what is no request; resolves once the connection has ended. */
  async sendRaw(bytes: Uint8Array): Promise<void> {
    const closed = once(this.#socket, 'close')
    this.#socket.write(bytes)
    await closed
  }

  async append(data: Uint8Array): Promise<number> {
    const { kind, body } = await this.ask(APPEND, data)
    if (kind !== APPEND) throw new Error(body.toString())
    return body.readDoubleLE()
  }

  /** Null at the end. */
  async read(offset: number): Promise<{ data: Buffer; nextOffset: number } | null> {
    const { kind, body } = await this.ask(READ, encodeOffset(offset))
    if (kind === READ) return { nextOffset: body.readDoubleLE(), data: body.subarray(8) }
    if (body.length > 0) throw new Error(body.toString())
    return null
  }

  close(): void {
    this.#socket.destroy()
  }
}
