import { test } from 'node:test'
import { simulate } from '../../src/testing/index.ts'

/** Declares a test that runs on Linux and in simulation. */
export function testOnBoth(name: string, body: () => Promise<void>): void {
  test(`${name} [uring]`, body)
  test(`${name} [sim]`, () => simulate(1, body))
}
