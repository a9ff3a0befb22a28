import { type ChunkConsumer, type SocketAddress, TcpListener, type TcpStream } from 'percore/net'
import { Log, type LogOptions } from './log.ts'
import {
  APPEND,
  END,
  encodeAppended,
  encodeFrame,
  encodeOffset,
  encodeRefused,
  type Frame,
  FrameParser,
  READ,
} from './protocol.ts'

export interface LogServerOptions extends LogOptions {
  readonly host?: string
  /** 0, which is any, if not given. */
  readonly port?: number
}

/** A log that clients append to and read from over TCP. */
export class LogServer implements AsyncDisposable {
  readonly log: Log
  readonly #listener: TcpListener
  readonly #accepting: Promise<void>
  readonly #connections = new Set<Connection>()

  private constructor(log: Log, listener: TcpListener) {
    this.log = log
    this.#listener = listener
    this.#accepting = this.#accept()
  }

  static async start({ host, port, ...options }: LogServerOptions): Promise<LogServer> {
    const log = await Log.open(options)
    try {
      const address = { host: host ?? '127.0.0.1', port: port ?? 0, backlog: 4096 }
      return new LogServer(log, await TcpListener.bind(address))
    } catch (error) {
      await log.close()
      throw error
    }
  }

  get address(): SocketAddress {
    return this.#listener.address
  }

  /** Takes no more requests, commits what was appended, and ends. */
  async stop(): Promise<void> {
    await this.#listener.close()
    await this.#accepting
    await Promise.all([...this.#connections].map((connection) => connection.close()))
    await this.log.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #accept(): Promise<void> {
    for await (const stream of this.#listener) {
      const connection = new Connection(this.log, stream, () =>
        this.#connections.delete(connection),
      )
      this.#connections.add(connection)
      // Neither a promise nor a suspended function for a connection that says nothing.
      stream.consume(connection)
    }
  }
}

/** Answers the requests of a connection; takes no more of it before those that came together are answered. */
class Connection implements ChunkConsumer<TcpStream> {
  readonly #log: Log
  readonly #stream: TcpStream
  readonly #onClosed: () => void
  readonly #parser = new FrameParser()

  constructor(log: Log, stream: TcpStream, onClosed: () => void) {
    this.#log = log
    this.#stream = stream
    this.#onClosed = onClosed
  }

  onChunk(chunk: Uint8Array): Promise<void> | undefined {
    const frames = this.#parser.push(chunk)
    if (frames.length === 0) return
    // The common case, without what several need.
    if (frames.length === 1) return this.#answer(frames[0]!).then((answer) => this.#write(answer))
    return Promise.all(frames.map((frame) => this.#answer(frame))).then((answers) =>
      this.#write(Buffer.concat(answers)),
    )
  }

  async onEnd(): Promise<void> {
    this.#onClosed()
    await this.#stream.close()
  }

  close(): Promise<void> {
    return this.#stream.close()
  }

  #write(answer: Buffer): Promise<void> {
    return this.#stream.write(answer)
  }

  #answer({ kind, body }: Frame): Promise<Buffer> {
    if (kind === APPEND) return this.#log.append(body).then(encodeAppended, encodeRefused)
    if (kind === READ && body.length === 8) return this.#read(body.readDoubleLE())
    return Promise.resolve(encodeRefused('a request must be an append or a read'))
  }

  async #read(offset: number): Promise<Buffer> {
    try {
      const record = await this.#log.read(offset)
      if (record === null) return encodeFrame(END)
      return encodeFrame(READ, encodeOffset(record.nextOffset), record.data)
    } catch (error) {
      return encodeRefused(error)
    }
  }
}
