/** Runs the compiled `percore` as users do, and machines that refuse things. */

import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { farLimitMs } from '../limits.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))
const TIME_LIMIT_MS = farLimitMs(90_000)

export type Outcome = SpawnSyncReturns<string>

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** A program that runs Node, and its arguments. */
  readonly wrapper?: readonly string[]
  readonly nodeArgs?: readonly string[]
}

/** The command line that runs `percore` with `args`. */
export function commandLine(args: readonly string[], options: RunOptions = {}): string[] {
  return [...(options.wrapper ?? []), process.execPath, ...(options.nodeArgs ?? []), MAIN, ...args]
}

/** Runs `percore` to its end. */
export function percore(args: readonly string[], options: RunOptions = {}): Outcome {
  const [program = '', ...rest] = commandLine(args, options)
  return spawnSync(program, rest, {
    encoding: 'utf8',
    timeout: TIME_LIMIT_MS,
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
  })
}

/** A folder that is removed after the test. */
export function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'percore-cli-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Options of a test that compiles C: skipped, with the reason, where there is no compiler. */
export function needsCompiler(): { skip: string | false } {
  const hasCompiler = spawnSync('cc', ['--version']).status === 0
  return { skip: hasCompiler ? false : 'needs cc' }
}

/** Answers io_uring_setup with an error number, as seccomp profiles of containers do. */
const REFUSE_SOURCE = `
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int count, char **words) {
  unsigned number = (unsigned)atoi(words[1]);
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 425 /* io_uring_setup */, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | number),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof code / sizeof code[0], code};
  (void)count;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 101;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 102;
  execv(words[2], words + 2);
  return 103;
}
`

/** A program that runs another with io_uring refused: `refuse ERRNO PROGRAM ARGUMENTS`. */
export function buildRefuser(folder: string): string {
  const source = join(folder, 'refuse.c')
  const program = join(folder, 'refuse')
  writeFileSync(source, REFUSE_SOURCE)
  const compiled = spawnSync('cc', ['-O1', '-o', program, source], { encoding: 'utf8' })
  if (compiled.status !== 0) throw new Error(`Cannot compile: ${compiled.stderr}`)
  return program
}
