/**
 * Packs what is published: `npm run pack` leaves the tarball in the root, for `npm publish <tarball>`.
 *
 * Its package.json has no scripts. npm would warn of `prepare` at every install, though it only ever runs it in
 * a checkout; and nothing is built where the package is installed.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { capture, Refusal, ROOT, run, runAsProgram } from './project.mjs'

/** What only a checkout needs. */
const LEFT_OUT = ['scripts', 'devDependencies']

function main(args) {
  if (args.includes('--refuse')) {
    throw new Refusal(
      'Cannot publish the checkout as its package.json has scripts: npm run pack, then npm publish the tarball',
    )
  }
  const { filename, size } = pack(ROOT)
  console.log(`${filename}: ${Math.ceil(size / 1024)} KiB`)
}

/** Leaves the tarball in `destination`; returns what npm says of it. */
export function pack(destination) {
  const folder = mkdtempSync(join(tmpdir(), 'percore-pack-'))
  try {
    const [{ filename }] = npmPack(ROOT, folder)
    if (run('tar', ['-xzf', join(folder, filename), '-C', folder]) !== 0) {
      throw new Refusal('Cannot pack: tar could not extract what npm has packed')
    }
    const manifestPath = join(folder, 'package/package.json')
    const manifest = JSON.parse(readFileSync(manifestPath, 'utf8'))
    for (const key of LEFT_OUT) delete manifest[key]
    writeFileSync(manifestPath, `${JSON.stringify(manifest, null, 2)}\n`)
    const [description] = npmPack(join(folder, 'package'), destination)
    return description
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function npmPack(folder, destination) {
  // Without scripts, as `prepare` would build again and print into the JSON.
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', destination]
  const result = capture('npm', args, { cwd: folder })
  if (result.status !== 0) {
    throw new Refusal(`Cannot pack: npm pack failed\n${result.error?.message ?? result.output}`)
  }
  return Object.values(JSON.parse(result.stdout))
}

await runAsProgram(import.meta.url, main)
