import { spawn } from 'percore'
import { type ChannelReceiver, type ChannelSender, createChannel, shardOf } from 'percore/channels'
import type { TcpStream } from 'percore/net'
import type { RemoteService, ShardedService } from 'percore/runtime'
import { encodeError, encodeLine, encodeValue, type Request, RequestParser } from './protocol.ts'
import type { Store } from './store.ts'

/** So many requests of a connection are under way: then nothing more is read from it. */
const PIPELINE_MAX = 128
/** Answers that are there go in one write, up to so many bytes. */
const WRITE_BYTES_MAX = 64 * 1024

/**
 * Serves a connection until its end, or until the signal is aborted: what was asked before is still answered then.
 *
 * Requests go to the shards of their keys as they come; answers leave in the order of requests. A client that does not read
 * fills the channel between the two, and then is not read from.
 */
export async function serveConnection(
  stream: TcpStream,
  cache: ShardedService<Store>,
  signal: AbortSignal,
): Promise<void> {
  await using client = stream
  const { sender, receiver } = createChannel<Promise<Buffer>>({ capacity: PIPELINE_MAX })
  // At once, since it may fail while the next request is waited for: then nobody takes answers, which the sender is told.
  const writing = spawn(() => writeAnswers(client, receiver)).catch(() => {})
  try {
    await readRequests(client, cache, sender, signal)
  } catch {
    // The stop was asked for, or the connection has failed, or nobody takes its answers: all that is left is to end.
  } finally {
    sender.close()
    await writing
  }
}

async function readRequests(
  client: TcpStream,
  cache: ShardedService<Store>,
  answers: ChannelSender<Promise<Buffer>>,
  signal: AbortSignal,
): Promise<void> {
  const parser = new RequestParser()
  for (;;) {
    const chunk = await client.read({ signal })
    if (chunk === null) return
    for (const request of parser.push(chunk)) {
      // It never rejects, so that one which waits behind others is nobody's unhandled rejection.
      await answers.send(answer(request, cache))
      if (request.kind === 'bad' && request.isLast) return
    }
  }
}

async function writeAnswers(
  client: TcpStream,
  answers: ChannelReceiver<Promise<Buffer>>,
): Promise<void> {
  // Once it fails the sender is told, and nothing more is read.
  using receiver = answers
  for (
    let first = await receiver.receive();
    first !== undefined;
    first = await receiver.receive()
  ) {
    const parts = [await first]
    let lengthBytes = parts[0]!.length
    while (lengthBytes < WRITE_BYTES_MAX) {
      const next = receiver.tryReceive()
      if (next === undefined) break
      const part = await next
      parts.push(part)
      lengthBytes += part.length
    }
    await client.write(parts.length === 1 ? parts[0]! : Buffer.concat(parts))
  }
}

async function answer(request: Request, cache: ShardedService<Store>): Promise<Buffer> {
  try {
    switch (request.kind) {
      case 'bad':
        return encodeError(request.why)
      case 'stats':
        return encodeLine(`STATS ${JSON.stringify(await addStats(cache))}`)
      case 'get': {
        const value = await storeOf(request.key, cache).get(request.key)
        return value === null ? encodeLine('NONE') : encodeValue(value)
      }
      case 'set': {
        const isKept = await storeOf(request.key, cache).set(request.key, request.value)
        return isKept ? encodeLine('OK') : encodeError('there is no room for such a value')
      }
      case 'delete':
        return encodeLine((await storeOf(request.key, cache).delete(request.key)) ? 'OK' : 'NONE')
    }
  } catch (error) {
    // The shard of the key has ended, say: others go on.
    return encodeError(error instanceof Error ? error.message : String(error))
  }
}

function storeOf(key: string, cache: ShardedService<Store>): RemoteService<Store> {
  return cache.on(shardOf(key, cache.shardCount))
}

/** Those of all shards together. */
async function addStats(cache: ShardedService<Store>): Promise<Record<string, number>> {
  const sums: Record<string, number> = { shardCount: cache.shardCount }
  for (const stats of await cache.onAll('stats')) {
    for (const [name, count] of Object.entries(stats)) sums[name] = (sums[name] ?? 0) + count
  }
  return sums
}
