import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Finding, Section } from '../../src/cli/doctor/finding.ts'
import { findMount } from '../../src/cli/doctor/mount.ts'
import { readList } from '../../src/cli/doctor/read.ts'
import { EPERM } from '../../src/kernel/index.ts'
import { buildRefuser, makeFolder, needsCompiler, type Outcome, percore } from './support.ts'

const STATES = ['ok', 'could be better', 'broken']
const SECTIONS = [
  'kernel',
  'limits',
  'processors',
  'numa',
  'file-system',
  'device',
  'node',
  'container',
]

interface Document {
  readonly doctor: number
  readonly percore: string
  readonly node: string
  readonly canRun: boolean
  readonly sections: readonly Section[]
}

function parse({ stdout }: Outcome): Document {
  return JSON.parse(stdout) as Document
}

function findingOf({ sections }: Document, section: string, id: string): Finding | undefined {
  const found = sections.find((candidate) => candidate.id === section)
  return found?.findings.find((finding) => finding.id === id)
}

test('doctor --json has every section, and a sentence for each finding', () => {
  const outcome = percore(['doctor', '--json'])

  const document = parse(outcome)
  assert.deepEqual(
    document.sections.map(({ id }) => id),
    SECTIONS,
  )
  assert.equal(document.doctor, 1)
  assert.equal(document.node, process.versions.node)
  for (const { findings, title } of document.sections) {
    assert.ok(findings.length > 0, `${title} is empty`)
    for (const { id, state, text, change } of findings) {
      assert.ok(STATES.includes(state), `${id}: ${state}`)
      assert.match(text, /^\S.*\.$/s, `${id} is no sentence: ${text}`)
      assert.equal(
        change === undefined,
        state === 'ok',
        `${id} says what to change unless it is ok`,
      )
    }
  }
})

test('doctor says whether the disk can be polled, and whether its limits are known', (t) => {
  const device = findingOf(parse(percore(['doctor', '--json'])), 'device', 'limits')
  if (device === undefined) {
    t.skip('there is no block device below this folder')
    return
  }
  const { device: number } = device.data as { device: string }
  const path = join(makeFolder(t), 'properties.json')
  const rates = { bytesPerSecond: 2 ** 30, operationsPerSecond: 12_345 }
  const write = (name: string): void => {
    const devices = [{ device: name, read: rates, write: rates }]
    writeFileSync(path, JSON.stringify({ version: 1, devices }))
  }
  const ask = (): Document =>
    parse(percore(['doctor', '--json'], { env: { PERCORE_IO_PROPERTIES: path } }))

  write(number)
  const known = ask()
  write('4095:1')
  const other = findingOf(ask(), 'device', 'limits')

  assert.equal(findingOf(known, 'device', 'limits')?.state, 'ok')
  assert.match(findingOf(known, 'device', 'limits')!.text, /1 GiB\/s and 12345 operations\/s/)
  assert.equal(other?.state, 'could be better')
  assert.match(other!.text, /does not name it/)
  assert.match(findingOf(known, 'device', 'queue')!.text, /polled for|by interrupt/)
})

test('doctor exits with 0 where percore can run', () => {
  const outcome = percore(['doctor', '--json'])

  assert.equal(outcome.status, 0, outcome.stderr)
  assert.equal(parse(outcome).canRun, true)
  assert.equal(findingOf(parse(outcome), 'kernel', 'io-uring')?.state, 'ok')
  assert.equal(findingOf(parse(outcome), 'node', 'native-layer')?.state, 'ok')
})

test('doctor prints plain lines of at most 100 columns when stdout is no terminal', () => {
  const { stdout, status } = percore(['doctor'])

  assert.equal(status, 0)
  assert.equal(stdout.includes('\x1b'), false)
  for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line)
  assert.match(stdout, /percore can run here\.\n$/)
})

test('doctor leaves no file in the folder it looks at', async (t) => {
  const { readdirSync } = await import('node:fs')
  const folder = makeFolder(t)

  const { status } = percore(['doctor'], { cwd: folder })

  assert.equal(status, 0)
  assert.deepEqual(readdirSync(folder), [])
})

test(
  'doctor exits with 1 and names the filter when seccomp refuses io_uring',
  needsCompiler(),
  (t) => {
    const refuser = buildRefuser(makeFolder(t))

    const outcome = percore(['doctor', '--json'], { wrapper: [refuser, String(EPERM)] })

    assert.equal(outcome.status, 1, outcome.stderr)
    const document = parse(outcome)
    assert.equal(document.canRun, false)
    const finding = findingOf(document, 'kernel', 'io-uring')
    assert.equal(finding?.state, 'broken')
    assert.equal(finding?.data?.code, 'EPERM')
    assert.equal(finding?.data?.cause, finding?.data?.sysctlValue ? 'sysctl' : 'seccomp')
    assert.deepEqual(
      document.sections.map(({ id }) => id),
      SECTIONS,
    )
  },
)

test(
  'doctor names the cause and the cure in text when io_uring is refused',
  needsCompiler(),
  (t) => {
    const refuser = buildRefuser(makeFolder(t))

    const { stdout, status, stderr } = percore(['doctor'], { wrapper: [refuser, String(EPERM)] })

    assert.equal(status, 1)
    assert.equal(stderr, '')
    assert.match(stdout, /✗ io_uring is refused \(EPERM\)/)
    assert.match(stdout, /percore cannot run here/)
  },
)

test('doctor says what to do where the platform is not Linux', () => {
  const pretend = "data:text/javascript,Object.defineProperty(process,'platform',{value:'darwin'})"

  const outcome = percore(['doctor', '--json'], { nodeArgs: ['--import', pretend] })

  assert.equal(outcome.status, 1, outcome.stderr)
  const finding = findingOf(parse(outcome), 'node', 'native-layer')
  assert.equal(finding?.state, 'broken')
  assert.match(finding?.change ?? '', /container|virtual machine/)
})

test('findMount() does without the links of a folder below one that is not ours to search', () => {
  // The kernel's answer for it is another error, but as little of a path.
  const mount = findMount('/nowhere/to/be found')

  assert.equal(mount.folder, '/nowhere/to/be found')
  assert.equal(mount.mountPoint, '/')
})

test('readList() gives none where there is no list', () => {
  assert.deepEqual(readList('0-2,5'), [0, 1, 2, 5])
  assert.deepEqual(readList('none'), [])
  assert.deepEqual(readList(undefined), [])
})
