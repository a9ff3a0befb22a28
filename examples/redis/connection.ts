import type { Lease, LeaseConsumer, TcpStream } from 'percore/net'
import { once } from 'percore/time'
import type { Keyspace } from './keyspace.ts'
import { RespParser } from './parser.ts'
import { encodeError } from './replies.ts'
import type { Session } from './session.ts'

/** Replies that are there go in one write, up to so many bytes. */
const WRITE_BYTES_MAX = 64 * 1024
/** How long a client that is to leave has to make room for each of the last replies, */
const LAST_WRITE_MS = 10_000
/** and then to leave. */
const LEAVE_MS = 1000

/**
 * Serves a connection: takes a chunk when the replies to the one before are with the kernel.
 *
 * So a client that does not read is not read from, and what is held for it is a chunk of commands and what they reply
 * to one write. An idle one holds its parser, and no promise.
 */
export class Connection implements LeaseConsumer<TcpStream> {
  readonly #keys: Keyspace
  readonly #session: Session
  readonly #parser = new RespParser()
  readonly #onClosed: () => void
  #isLeaving = false

  constructor(keys: Keyspace, session: Session, onClosed: () => void) {
    this.#keys = keys
    this.#session = session
    this.#onClosed = onClosed
  }

  onLease(lease: Lease, stream: TcpStream): Promise<void> | undefined {
    // What comes behind the last command is read and dropped: a close would reset the connection, the last reply with it.
    if (this.#isLeaving) return undefined
    const commands = this.#parser.push(lease.bytes)
    // A reply that nobody reads must not keep memory that is there for all connections.
    lease.release()
    if (commands.length === 0 && this.#parser.error === null) return undefined
    return this.#answer(commands, stream)
  }

  async onEnd(_error: unknown, stream: TcpStream): Promise<void> {
    // Whatever ended it, the client has gone, or is to go.
    try {
      await stream.close()
    } finally {
      this.#onClosed()
    }
  }

  async #answer(commands: string[][], stream: TcpStream): Promise<void> {
    const replies = this.#keys.begin(commands, this.#session)
    const { error } = this.#parser
    let timeoutMs = error === null ? undefined : LAST_WRITE_MS
    let text = ''
    for (let left = commands.length; left > 0 && !this.#session.isQuitting; left--) {
      const reply = replies.next()
      text += typeof reply === 'string' ? reply : await reply
      if (text.length < WRITE_BYTES_MAX) continue
      await stream.write(Buffer.from(text, 'latin1'), { timeoutMs })
      text = ''
    }
    if (error !== null && !this.#session.isQuitting) {
      text += encodeError(`ERR Protocol error: ${error}`)
    }
    const isLeaving = error !== null || this.#session.isQuitting
    if (isLeaving) timeoutMs = LAST_WRITE_MS
    if (text !== '') await stream.write(Buffer.from(text, 'latin1'), { timeoutMs })
    if (isLeaving) await this.#leave(stream)
  }

  async #leave(stream: TcpStream): Promise<void> {
    this.#isLeaving = true
    await stream.shutdown()
    once(LEAVE_MS, () => stream.close(), { keepsAlive: false })
  }
}
