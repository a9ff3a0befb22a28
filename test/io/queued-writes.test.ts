/** Many operations on one file that nobody awaits one by one: each costs what it costs among few. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { effort } from '../../src/io/ranges/obstacle.ts'
import { simulate } from '../../src/testing/index.ts'
import { makeFolder } from './support.ts'

const FEW = 60
const MANY: number = 8 * FEW
/** Logarithms of these differ by half; the rest is the shape of trees. */
const RATIO_MAX = 2
const LENGTH_BYTES = 100

/** What is begun on a file, and how large that leaves it. */
interface Kind {
  readonly open: (path: string) => Promise<BufferedFile | DirectFile>
  readonly start: (file: BufferedFile | DirectFile, count: number) => Promise<unknown>[]
  readonly sizeBytes: (count: number) => number
}

const data: Uint8Array<ArrayBuffer> = new Uint8Array(LENGTH_BYTES).fill(1)
const write = (file: BufferedFile | DirectFile, index: number): Promise<number> => {
  return (file as BufferedFile).write(data, index * LENGTH_BYTES)
}
const writes = (file: BufferedFile | DirectFile, from: number, to: number): Promise<number>[] => {
  return Array.from({ length: to - from }, (_, index) => write(file, from + index))
}
const all = (count: number): number => count * LENGTH_BYTES

const KINDS: Readonly<Record<string, Kind>> = {
  'append()': {
    open: (path) => BufferedFile.open(path, { append: true, create: true }),
    start: (file, count) =>
      Array.from({ length: count }, () => (file as BufferedFile).append(data)),
    sizeBytes: all,
  },
  'write()': {
    open: (path) => BufferedFile.create(path),
    start: (file, count) => writes(file, 0, count),
    sizeBytes: all,
  },
  'write(), an allocate() among them': {
    open: (path) => BufferedFile.create(path),
    start: (file, count) => [
      ...writes(file, 0, count / 2),
      file.allocate(1 << 20),
      ...writes(file, count / 2, count),
    ],
    sizeBytes: () => 1 << 20,
  },
  'write() behind a truncate()': {
    open: (path) => BufferedFile.create(path),
    start: (file, count) => [file.truncate(0), ...writes(file, 0, count)],
    sizeBytes: all,
  },
  'writeBytes()': {
    open: (path) => DirectFile.create(path, { fallback: 'buffered' }),
    start: (file, count) =>
      Array.from({ length: count }, (_, index) => {
        return (file as DirectFile).writeBytes(data, index * LENGTH_BYTES)
      }),
    sizeBytes: all,
  },
}

async function measure(path: string, kind: Kind, count: number): Promise<number> {
  const file = await kind.open(path)
  try {
    const before = effort.steps
    await Promise.all(kind.start(file, count))
    const stepsEach = (effort.steps - before) / count
    assert.equal(await file.size(), kind.sizeBytes(count))
    return stepsEach
  } finally {
    await file.close()
  }
}

async function compare(folder: string, kind: Kind): Promise<void> {
  const few = await measure(join(folder, 'few'), kind, FEW)
  const many = await measure(join(folder, 'many'), kind, MANY)
  assert.ok(many <= RATIO_MAX * few + 1, `${many} steps each for ${MANY}, ${few} for ${FEW}`)
}

for (const [name, kind] of Object.entries(KINDS)) {
  const title = `${name} costs no more for each of many than of few`
  test(`${title} [uring]`, (t) => compare(makeFolder(t), kind))
  test(`${title} [sim]`, () => simulate(8, () => compare('/tmp', kind)))
}
