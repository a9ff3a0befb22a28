/** What of files, directories and streams is given options that nothing knows; see options.test.ts. */

import { mkdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  BufferedFile,
  DirectFile,
  Directory,
  ImmutableFile,
  link,
  makeDirectory,
  readLink,
  remove,
  removeDirectory,
  removeTree,
  rename,
  replaceFile,
  stat,
  stdin,
  symbolicLink,
} from '../../src/io/index.ts'
import type { TcpStream } from '../../src/net/index.ts'
import {
  ByteReader,
  fromIterable,
  pipe,
  toNodeDuplex,
  toNodeReadable,
  toNodeWritable,
} from '../../src/streams/index.ts'

/** Options that nothing knows. */
const nonsense = { nonsense: 1 } as never
const BYTES = new Uint8Array(1)

/** The calls, by their names; `stream` is a connection, which none of them gets to use. */
export interface ByteCalls {
  /** What answers with a promise: it rejects, whatever it was given. */
  readonly asynchronous: Readonly<Record<string, () => Promise<unknown>>>
  /** What answers at once: it throws. */
  readonly synchronous: Readonly<Record<string, () => unknown>>
  close(): Promise<void>
}

export async function byteCalls(stream: TcpStream): Promise<ByteCalls> {
  const folder = join(tmpdir(), `percore-byte-options-${process.pid}`)
  mkdirSync(folder)
  const path = join(folder, 'file')
  const direct = await DirectFile.create(path, { fallback: 'buffered' })
  const buffered = await BufferedFile.open(path, { read: true, write: true })
  const directory = await Directory.open(folder)
  const block = direct.allocateBuffer(512)
  const writer = direct.writer()
  const fileReader = direct.stream()
  const sink = await ImmutableFile.build(join(folder, 'building'))
  const sealing = await ImmutableFile.build(join(folder, 'immutable'))
  await sealing.write(BYTES)
  const immutable = await sealing.seal()
  const source = fromIterable([BYTES])
  const reader = new ByteReader(source)
  return {
    asynchronous: {
      ...fileCalls({ direct, buffered, block, path, folder }),
      ...directoryCalls(directory, folder),
      'ByteSink.push': () => writer.push(BYTES, nonsense),
      'ByteSink.end': () => writer.end(nonsense),
      'ByteSource.pull': () => source.pull(nonsense),
      'FileReader.pull': () => fileReader.pull(nonsense),
      'FileWriter.write': () => writer.write(BYTES, nonsense),
      'FileWriter.push': () => writer.push(BYTES, nonsense),
      'FileWriter.flush': () => writer.flush(nonsense),
      'FileWriter.flushAligned': () => writer.flushAligned(nonsense),
      'FileWriter.sync': () => writer.sync(nonsense),
      'FileWriter.seek': () => writer.seek(0, nonsense),
      'FileWriter.end': () => writer.end(nonsense),
      'ImmutableFile.build': () => ImmutableFile.build(path, nonsense),
      'ImmutableFile.open': () => ImmutableFile.open(path, nonsense),
      'ImmutableFile.read': () => immutable.read(0, 1, nonsense),
      'ImmutableFile.remove': () => immutable.remove(nonsense),
      'ImmutableFileSink.write': () => sink.write(BYTES, nonsense),
      'ImmutableFileSink.push': () => sink.push(BYTES, nonsense),
      'ImmutableFileSink.end': () => sink.end(nonsense),
      'Stdin.pull': () => stdin().pull(nonsense),
      'StreamSocket.pull': () => stream.pull(nonsense),
      'StreamSocket.push': () => stream.push(BYTES, nonsense),
      'StreamSocket.end': () => stream.end(nonsense),
      'ByteReader.readLine': () => reader.readLine(nonsense),
      'ByteReader.readUntil': () => reader.readUntil('x', nonsense),
      'ByteReader.readExactly': () => reader.readExactly(1, nonsense),
      'ByteReader.read': () => reader.read(1, nonsense),
      'ByteReader.peek': () => reader.peek(1, nonsense),
      'ByteReader.skip': () => reader.skip(1, nonsense),
      'ByteReader.readToEnd': () => reader.readToEnd(nonsense),
      'ByteReader.fillBuffer': () => reader.fillBuffer(nonsense),
      'ByteReader.pull': () => reader.pull(nonsense),
      pipe: () => pipe(source, writer, nonsense),
    },
    synchronous: {
      'BaseFile.stream': () => direct.stream(nonsense),
      'BaseFile.writer': () => direct.writer(nonsense),
      'BufferedFile.readMany': () => buffered.readMany([], nonsense),
      'DirectFile.readMany': () => direct.readMany([], nonsense),
      'ImmutableFile.readMany': () => immutable.readMany([], nonsense),
      'ImmutableFile.stream': () => immutable.stream(nonsense),
      'Directory.list': () => directory.list(nonsense),
      'ByteReader.lines': () => reader.lines(nonsense),
      'ByteReader.linesAsBytes': () => reader.linesAsBytes(nonsense),
      'ByteReader.lineBatches': () => reader.lineBatches(nonsense),
      'new ByteReader': () => new ByteReader(source, nonsense),
      toNodeDuplex: () => toNodeDuplex(stream, nonsense),
      toNodeReadable: () => toNodeReadable(source, nonsense),
      toNodeWritable: () => toNodeWritable(writer, nonsense),
    },
    close: async () => {
      block.release()
      await writer.end()
      for (const disposable of [fileReader, sink, immutable, direct, buffered, directory]) {
        await disposable[Symbol.asyncDispose]()
      }
      rmSync(folder, { recursive: true })
    },
  }
}

interface Files {
  readonly direct: DirectFile
  readonly buffered: BufferedFile
  readonly block: ReturnType<DirectFile['allocateBuffer']>
  readonly path: string
  readonly folder: string
}

function fileCalls({ direct, buffered, block, path, folder }: Files): ByteCalls['asynchronous'] {
  const other = join(folder, 'other')
  return {
    'BaseFile.zero': () => direct.zero(0, 1, nonsense),
    'BaseFile.collapse': () => direct.collapse(0, 4096, nonsense),
    'BaseFile.insertHole': () => direct.insertHole(0, 4096, nonsense),
    'BaseFile.copyFrom': () => direct.copyFrom(buffered, nonsense),
    'BaseFile.advise': () => direct.advise('sequential', nonsense),
    'BaseFile.hintExtentSize': () => direct.hintExtentSize(0, nonsense),
    'BaseFile.lock': () => direct.lock(nonsense),
    'BaseFile.tryLock': () => direct.tryLock(nonsense),
    'BaseFile.link': () => direct.link(other, nonsense),
    'BufferedFile.readVector': () => buffered.readVector([block], 0, nonsense),
    'BufferedFile.writeVector': () => buffered.writeVector([block], 0, nonsense),
    'BufferedFile.spliceFrom': () => buffered.spliceFrom(buffered, 1, nonsense),
    'DirectFile.readVector': () => direct.readVector([block], 0, nonsense),
    'DirectFile.writeVector': () => direct.writeVector([block], 0, nonsense),
    link: () => link(path, other, nonsense),
    makeDirectory: () => makeDirectory(other, nonsense),
    readLink: () => readLink(path, nonsense),
    remove: () => remove(other, nonsense),
    removeDirectory: () => removeDirectory(other, nonsense),
    removeTree: () => removeTree(other, nonsense),
    rename: () => rename(other, other, nonsense),
    replaceFile: () => replaceFile(other, BYTES, nonsense),
    stat: () => stat(path, nonsense),
    symbolicLink: () => symbolicLink(path, other, nonsense),
  }
}

function directoryCalls(directory: Directory, folder: string): ByteCalls['asynchronous'] {
  return {
    'Directory.open': () => Directory.open(folder, nonsense),
    'Directory.create': () => Directory.create(join(folder, 'made'), nonsense),
    'Directory.sync': () => directory.sync(nonsense),
    'Directory.stat': () => directory.stat('file', nonsense),
    'Directory.makeDirectory': () => directory.makeDirectory('made', nonsense),
    'Directory.rename': () => directory.rename('a', 'b', nonsense),
    'Directory.remove': () => directory.remove('a', nonsense),
    'Directory.removeDirectory': () => directory.removeDirectory('a', nonsense),
    'Directory.removeTree': () => directory.removeTree('a', nonsense),
    'Directory.link': () => directory.link('a', 'b', nonsense),
    'Directory.symbolicLink': () => directory.symbolicLink('a', 'b', nonsense),
    'Directory.readLink': () => directory.readLink('a', nonsense),
  }
}
