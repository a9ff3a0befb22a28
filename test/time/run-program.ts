import { spawnSync } from 'node:child_process'
import { farLimitMs } from '../limits.ts'

const INDEX = new URL('../../src/index.js', import.meta.url).href
const TIME = new URL('../../src/time/index.js', import.meta.url).href

export interface ProgramResult {
  readonly status: number | null
  readonly output: string
  readonly errors: string
}

/** Runs a module with `percore` and `percore/time` in `percore` and `time`, until it ends by itself. */
export function runProgram(body: string): ProgramResult {
  const source = `import * as percore from '${INDEX}'; import * as time from '${TIME}'; ${body}`
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', source],
    { encoding: 'utf8', timeout: farLimitMs(50_000), killSignal: 'SIGKILL' },
  )
  return { status, output: stdout, errors: stderr }
}
