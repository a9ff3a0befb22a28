import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { limited } from '../limits.ts'

const LIMIT = limited(60_000)
const root = fileURLToPath(new URL('../../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'percore-environment-'))
symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')

const PROGRAM = `
import { executor, spawn } from '${join(root, 'dist/src/index.js')}'
import { sleep } from '${join(root, 'dist/src/time/index.js')}'
try {
  await spawn(() => sleep(1))
  console.log('runs', executor().stats().driver)
} catch (error) {
  console.log(error.code, error.message)
}
`
writeFileSync(join(folder, 'program.js'), PROGRAM)

writeFileSync(
  join(folder, 'transfers.js'),
  `
import { BufferedFile } from '${join(root, 'dist/src/io/index.js')}'
import { TcpListener, TcpStream } from '${join(root, 'dist/src/net/index.js')}'
const listener = await TcpListener.bind({ port: 0 })
const accepting = listener.accept()
const client = await TcpStream.connect(listener.address)
const server = await accepting
server.consume({ onLease: (lease) => server.write(lease), onEnd: () => server.close() })
await client.write(new TextEncoder().encode('echo'))
const text = Buffer.from(await client.read()).toString()
await client.close()
await listener.close()
const file = await BufferedFile.open('${join(folder, 'package.json')}')
const json = JSON.parse(Buffer.from(await file.read(0, 1000)).toString())
await file.close()
console.log(text, json.type)
`,
)

after(() => rmSync(folder, { recursive: true }))

/** What a program prints that is run with flags of Node's. */
function run(program: string, ...flags: string[]): string {
  const result = spawnSync(process.execPath, [...flags, join(folder, program)], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  return result.stdout
}

for (const flag of ['--frozen-intrinsics', '--disallow-code-generation-from-strings']) {
  test(`a program runs with ${flag}`, LIMIT, () => {
    assert.equal(run('program.js', flag), 'runs uring\n')
  })
}

test('sockets and files work with --jitless', LIMIT, () => {
  assert.equal(run('transfers.js', '--jitless'), 'echo module\n')
})

const permission = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission'

test('a program with limited permissions runs if addons are allowed', LIMIT, () => {
  const flags = [permission, '--allow-fs-read=*', '--allow-fs-write=*']

  assert.equal(run('program.js', ...flags, '--allow-addons'), 'runs uring\n')
  assert.match(run('program.js', ...flags), /^ERR_ADDON_MISSING .*--allow-addons/)
})

for (const format of ['esm', 'cjs'] as const) {
  test(`a bundle (${format}) says that percore must be external`, LIMIT, async () => {
    const outfile = join(folder, format === 'esm' ? 'bundle.mjs' : 'bundle.cjs')
    const entry = `
      import { executor } from '${join(root, 'dist/src/index.js')}'
      try { executor() } catch (error) { console.log(error.code, error.message) }
    `
    await build({
      stdin: { contents: entry, resolveDir: folder },
      bundle: true,
      platform: 'node',
      format,
      outfile,
      logLevel: 'silent',
    })

    const output = run(format === 'esm' ? 'bundle.mjs' : 'bundle.cjs')

    assert.match(output, /^ERR_ADDON_MISSING .*mark percore as external/)
  })
}

test('a bundle that leaves percore outside runs', LIMIT, async () => {
  const path = join(root, 'dist/src/index.js')
  await build({
    stdin: {
      contents: `import { executor } from '${path}'; console.log(executor().stats().driver)`,
      resolveDir: folder,
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: [path],
    outfile: join(folder, 'outside.mjs'),
  })

  assert.equal(run('outside.mjs'), 'uring\n')
})
