/** Programs that stall, and what they write meanwhile. */
import { type ChildProcess, spawn as startProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Stall } from '../../src/index.ts'

/** A program that stalls. */
export interface Run {
  readonly child: ChildProcess
  /** Resolves once standard error matches. */
  errorMatches(pattern: RegExp): Promise<string>
  /** Resolves as the program has ended. */
  readonly end: Promise<{
    readonly code: number | null
    readonly stdout: string
    readonly stderr: string
    readonly lines: readonly (Stall & { readonly [key: string]: unknown })[]
  }>
}

/** Runs a module beside this one. */
export function runProgram(name: string, words: readonly string[]): Run {
  const program = fileURLToPath(new URL(name, import.meta.url))
  const child = startProcess(process.execPath, [program, ...words])
  let stdout = ''
  let stderr = ''
  const onError: (() => void)[] = []
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
    for (const look of onError) look()
  })
  const end = new Promise<Awaited<Run['end']>>((resolve) => {
    child.once('close', (code) => {
      const lines = stdout.split('\n').filter((line) => line !== '')
      resolve({ code, stdout, stderr, lines: lines.map((line) => JSON.parse(line)) })
      for (const look of onError) look()
    })
  })
  return {
    child,
    end,
    errorMatches: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (pattern.test(stderr)) resolve(stderr)
          else if (child.exitCode !== null) reject(new Error(`It ended: ${stderr}`))
        }
        onError.push(look)
        look()
      }),
  }
}
