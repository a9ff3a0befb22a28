import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { describeApi } from './api.mjs'
import { capture, packageProgram, ROOT, readText } from './project.mjs'
import { dropInternalBases, hideConstructors } from './types.mjs'

/** What users must not be able to write: each line is an error, or the compiler says that it is none. */
const REFUSED = `
import { executor, type Task, type TaskQueue } from 'percore'
import { BufferedFile, DirectFile } from 'percore/io'
import { TcpListener, TcpStream } from 'percore/net'
import { ExclusiveGuard, Pass, Permit, SharedGuard } from 'percore/sync'

// @ts-expect-error
executor().reactor
// @ts-expect-error
executor().assertOpen('look')
// @ts-expect-error
executor().takeReadyBudget()
// @ts-expect-error
new TcpStream()
// @ts-expect-error
new TcpListener()
// @ts-expect-error
new DirectFile()
// @ts-expect-error
new BufferedFile()
// @ts-expect-error
new Pass()
// @ts-expect-error
new Permit()
// @ts-expect-error
new SharedGuard()
// @ts-expect-error
new ExclusiveGuard()

declare const file: DirectFile
// @ts-expect-error
file.descriptor
declare const queue: TaskQueue
// @ts-expect-error
queue.push
// @ts-expect-error
queue.virtualRuntime
declare const task: Task<number>
// @ts-expect-error
task.requestCancel()
// @ts-expect-error
export type { Reactor } from 'percore'
`

/** What users may write. */
const ACCEPTED = `
import { attachExecutor, createTaskQueue, executor, type Executor, KernelError, spawn, type Task } from 'percore'
import { type BaseFile, BufferedFile, DirectFile } from 'percore/io'
import { TcpListener, TcpStream } from 'percore/net'
import { Mutex } from 'percore/sync'
import { SimKernel, simTopology, simulate } from 'percore/testing'
import { type Cpu, CpuSet, Placement, PoolPlacement, Topology } from 'percore/topology'

attachExecutor({ name: 'main', kernel: new SimKernel({ seed: 1 }) }) satisfies Executor
createTaskQueue('serving', { latency: { maxMs: 2 } }).remove()
export const value: Task<number> = spawn(async () => 1)
export const isFile = (file: unknown): file is BaseFile =>
  file instanceof DirectFile || file instanceof BufferedFile
export const isStream = (stream: unknown) => stream instanceof TcpStream || stream instanceof TcpListener
export const codeOf = (error: unknown) => (error instanceof KernelError ? error.code : undefined)
export const stats = executor().stats()
await simulate(1, ({ kernel }) => kernel.prng)
const coresOf = (set: CpuSet): CpuSet => set.filter({ smtIndex: 0, l3: null }).filter((cpu: Cpu) => cpu.id > 0)
export const sets: readonly CpuSet[] = PoolPlacement.maxSpread(2, coresOf(CpuSet.allowed())).resolve(Topology.read())
export const fixed: CpuSet = Placement.fixed(0).resolve(Topology.read(new SimKernel({ topology: simTopology() })))
const guard = await new Mutex(1).lock({ timeoutMs: 5 })
guard.release()
`

test('the declarations say what docs/api.txt says', () => {
  const { text } = describeApi()

  assert.equal(text, readText('docs/api.txt'), 'run: node scripts/api.mjs --write')
})

test('the declarations name no type that no door exports', () => {
  assert.deepEqual(describeApi().hidden, [])
})

test('a program can use what is public, and nothing else', { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'percore-types-'))
  try {
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(ROOT, join(folder, 'node_modules/percore'), 'dir')
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    writeFileSync(join(folder, 'refused.ts'), REFUSED)
    writeFileSync(join(folder, 'accepted.ts'), ACCEPTED)
    const compilerOptions = {
      strict: true,
      noEmit: true,
      target: 'ES2022',
      lib: ['ES2022', 'ESNext.Disposable'],
      module: 'NodeNext',
      types: ['node'],
      typeRoots: [join(ROOT, 'node_modules/@types')],
    }
    const config = { compilerOptions, files: ['refused.ts', 'accepted.ts'] }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))

    const result = capture(process.execPath, [packageProgram('typescript', 'tsc'), '-p', folder])

    assert.equal(result.output, '')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('hideConstructors() declares constructors that are internal, and no others', () => {
  const source = `export class Handle {
  /** @internal */
  constructor(secret: Secret) {}
}
export abstract class Base {
  /**
   * @internal Made by others.
   */
  constructor(secret: Secret) {}
}
export class Open {
  /** Anybody's. */
  constructor(name: string) {}
}
export class Both {
  /** Anybody's. */
  constructor(name: string)
  /** @internal */
  constructor(secret: Secret)
  constructor(name: string | Secret) {}
}
`
  const text = `export declare class Handle {
}
export declare abstract class Base {
}
export declare class Open {
    constructor(name: string);
}
export declare class Both {
    constructor(name: string);
}
`

  assert.equal(
    hideConstructors(text, source, new Set(['Base'])),
    `export declare class Handle {
    private constructor();
}
export declare abstract class Base {
    protected constructor();
}
export declare class Open {
    constructor(name: string);
}
export declare class Both {
    constructor(name: string);
}
`,
  )
})

test('dropInternalBases() removes internal bases, and what only they imported', () => {
  const text = `import { RunQueue, type RuntimeError } from '../base/index.ts';
import type { Schedulable } from './scheduler.ts';
export declare class TaskQueue extends RunQueue implements Schedulable, Disposable {
    fail(): RuntimeError;
}
`

  assert.equal(
    dropInternalBases(text),
    `import { type RuntimeError } from '../base/index.ts';
export declare class TaskQueue implements Disposable {
    fail(): RuntimeError;
}
`,
  )
})
