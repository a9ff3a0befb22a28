import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { wrap } from '../../src/cli/style.ts'
import { commandLine, makeFolder, percore } from './support.ts'

test('percore --help lists the commands', () => {
  const { stdout, status } = percore(['--help'])

  assert.equal(status, 0)
  assert.match(stdout, /^Usage: percore COMMAND/)
  for (const name of ['doctor', 'tour', 'top', 'iotune'])
    assert.match(stdout, new RegExp(`^  ${name} `, 'm'))
})

test('percore without a command prints the help as an error', () => {
  const { stdout, stderr, status } = percore([])

  assert.equal(status, 2)
  assert.equal(stdout, '')
  assert.match(stderr, /^Usage: percore COMMAND/)
})

test('percore --version prints the version of the package', () => {
  const manifest = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')

  const { stdout, status } = percore(['--version'])

  assert.equal(status, 0)
  assert.equal(stdout, `${JSON.parse(manifest).version}\n`)
})

for (const [name, flags] of [
  ['doctor', ['--json']],
  ['tour', ['--json', '--dir DIR', '--quick']],
  ['top', ['--once', '--json', '--interval SECONDS']],
  ['iotune', ['--output FILE', '--seconds SECONDS', '--size MIB', '--json']],
] as const) {
  test(`percore ${name} --help names every option`, () => {
    const { stdout, status } = percore([name, '--help'])

    assert.equal(status, 0)
    assert.match(stdout, new RegExp(`^Usage: percore ${name} `))
    for (const flag of [...flags, '--help']) assert.match(stdout, new RegExp(`^  ${flag} `, 'm'))
    for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line)
  })
}

test('the help of a command can be had by -h, and by help', () => {
  const { stdout, status } = percore(['doctor', '--help'])

  assert.equal(status, 0)
  assert.equal(percore(['doctor', '-h']).stdout, stdout)
  assert.equal(percore(['help', 'doctor']).stdout, stdout)
})

test('help and --version take no more than they use', () => {
  for (const args of [
    ['help', 'tour', 'extra'],
    ['--version', 'extra'],
  ]) {
    const { stderr, stdout, status } = percore(args)

    assert.match(stderr, /^Cannot run percore .* as nothing may follow.*: 'extra' does\n$/)
    assert.equal(stdout, '')
    assert.equal(status, 2)
  }
})

test('percore refuses a working folder that was removed with a sentence and code 2', (t) => {
  const folder = makeFolder(t)
  const command = commandLine(['doctor']).map((word) => `'${word}'`)

  const { stderr, status } = spawnSync(
    'sh',
    ['-c', `cd '${folder}' && rmdir '${folder}' && exec ${command.join(' ')}`],
    { encoding: 'utf8' },
  )

  assert.equal(stderr, 'Cannot run percore here as the working folder must exist: it was removed\n')
  assert.equal(status, 2)
})

test('percore says that its output can not be written, with code 1', () => {
  const command = commandLine(['--help']).map((word) => `'${word}'`)

  const { stderr, status } = spawnSync('sh', ['-c', `exec ${command.join(' ')} >/dev/full`], {
    encoding: 'utf8',
  })

  assert.match(stderr, /^Cannot write the output: ENOSPC/)
  assert.equal(status, 1)
})

test('percore refuses an unknown command with a sentence, the commands and code 2', () => {
  const { stdout, stderr, status } = percore(['doktor'])

  assert.equal(status, 2)
  assert.equal(stdout, '')
  assert.match(stderr, /^Cannot run percore as there is no command 'doktor'/)
  assert.match(stderr, /^ {2}doctor /m)
})

test('percore refuses an unknown option of a command with code 2', () => {
  const { stdout, stderr, status } = percore(['doctor', '--jsn'])

  assert.equal(status, 2)
  assert.equal(stdout, '')
  assert.match(stderr, /^Cannot run percore doctor: Unknown option '--jsn'\n/)
})

test('percore refuses an argument that no command takes with code 2', () => {
  assert.equal(percore(['doctor', 'now']).status, 2)
})

test('percore refuses an option without its value with code 2', () => {
  assert.equal(percore(['tour', '--dir']).status, 2)
  assert.equal(percore(['tour', '--dir=']).status, 2)
})

test('wrap() breaks at spaces, and keeps long words whole', () => {
  const long = 'x'.repeat(120)

  const lines = wrap(`${'word '.repeat(40)}${long} end`, { indent: 2, hanging: 4 }).split('\n')

  assert.match(lines[0]!, /^ {2}word/)
  assert.match(lines[1]!, /^ {4}word/)
  assert.ok(lines.includes(`    ${long}`))
  assert.ok(lines.filter((line) => !line.includes(long)).every((line) => line.length <= 100))
})
