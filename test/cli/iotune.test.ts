import assert from 'node:assert/strict'
import { lstatSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkIoProperties } from '../../src/executor/index.ts'
import { makeFolder as makeDirectFolder, needsBlockDevice } from '../io/support.ts'
import { makeFolder, percore } from './support.ts'

const SHORT = ['--seconds', '0.05', '--size', '4']

test('percore iotune measures a folder, saves it, and leaves no file', needsBlockDevice(), (t) => {
  const folder = makeDirectFolder(t)
  const output = join(makeFolder(t), 'io.json')

  const { stdout, stderr, status } = percore(['iotune', folder, '-o', output, '--json', ...SHORT])

  assert.equal(status, 0, stderr)
  const saved = JSON.parse(readFileSync(output, 'utf8'))
  const [device, ...more] = checkIoProperties(saved, output)
  assert.equal(more.length, 0)
  assert.deepEqual(JSON.parse(stdout), saved.devices[0])
  for (const direction of [device!.read, device!.write]) {
    assert.ok(direction.bytesPerSecond > 1 && direction.operationsPerSecond >= 1)
  }
  assert.deepEqual(readdirSync(folder), [])
})

test(
  'percore iotune keeps other devices of the file, and replaces its own',
  needsBlockDevice(),
  (t) => {
    const folder = makeDirectFolder(t)
    const output = join(makeFolder(t), 'io.json')
    const rate = { bytesPerSecond: 5, operationsPerSecond: 6 }
    const other = { device: '9999:1', read: rate, write: rate, note: 'kept' }
    writeFileSync(output, JSON.stringify({ version: 1, devices: [other] }))

    const outcomes = [0, 1].map(() => percore(['iotune', folder, '--output', output, ...SHORT]))

    assert.deepEqual(
      outcomes.map(({ status }) => status),
      [0, 0],
    )
    assert.match(outcomes[1]!.stdout, /Saved to .*PERCORE_IO_PROPERTIES/)
    const { devices } = JSON.parse(readFileSync(output, 'utf8'))
    assert.equal(devices.length, 2)
    assert.deepEqual(devices[0], other)
  },
)

test('percore iotune saves to the file that a link leads to', needsBlockDevice(), (t) => {
  const folder = makeFolder(t)
  const [output, link] = [join(folder, 'io.json'), join(folder, 'link.json')]
  symlinkSync('io.json', link)

  const { stderr, status } = percore(['iotune', makeDirectFolder(t), '-o', link, ...SHORT])

  assert.equal(status, 0, stderr)
  assert.equal(checkIoProperties(JSON.parse(readFileSync(output, 'utf8')), output).length, 1)
  assert.deepEqual(readdirSync(folder).sort(), ['io.json', 'link.json'])
  assert.ok(lstatSync(link).isSymbolicLink())
})

test('percore iotune leaves a file alone that is none of its own', needsBlockDevice(), (t) => {
  const folder = makeDirectFolder(t)
  const output = join(makeFolder(t), 'io.json')
  writeFileSync(output, 'something else')

  const { stderr, status } = percore(['iotune', folder, '--output', output, ...SHORT])

  assert.equal(status, 1)
  assert.match(stderr, /must be JSON/)
  assert.equal(readFileSync(output, 'utf8'), 'something else')
})

test('percore iotune says what it cannot measure', () => {
  const outcomes = [['/proc'], ['/etc/passwd'], ['/nowhere']].map((args) =>
    percore(['iotune', ...args, ...SHORT]),
  )

  assert.deepEqual(
    outcomes.map(({ status }) => status),
    [1, 1, 1],
  )
  assert.match(outcomes[0]!.stderr, /must be on a block\s+device/)
  assert.match(outcomes[1]!.stderr, /must be a folder/)
  assert.match(outcomes[2]!.stderr, /ENOENT/)
})

test('percore iotune refuses numbers that are none', () => {
  for (const args of [
    ['--seconds', '0'],
    ['--seconds', 'x'],
    ['--size', '1'],
    ['--size', ''],
  ]) {
    const { stderr, status } = percore(['iotune', '.', ...args])

    assert.equal(status, 2)
    assert.match(stderr, /must be a number from/)
  }
})
