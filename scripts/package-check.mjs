/** Checks what npm would publish: its files, its size, its types, and that it can be installed and imported. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pack } from './pack.mjs'
import {
  capture,
  packageProgram,
  Refusal,
  ROOT,
  readManifest,
  runAsProgram,
  runNode,
} from './project.mjs'

/** Half of it are source maps, which hold the TypeScript. */
const SIZE_BYTES_MAX = 2.5 * 1024 * 1024
const ALLOWED = [
  /^dist\/src\/(?!.*\.test\.).+\.(?:js|js\.map|d\.ts)$/,
  /^prebuilds\/linux-(?:x64|arm64)\/percore\.node$/,
  /^native\/[\w-]+\.[ch]$/,
  // What README.md leads to.
  /^docs\/(?:models\/)?[\w-]+\.md$/,
  /^(?:package\.json|README\.md|CHANGELOG\.md|LICENSE-APACHE|LICENSE-MIT)$/,
]

function main() {
  const manifest = readManifest()
  const folder = mkdtempSync(join(tmpdir(), 'percore-package-'))
  try {
    const content = pack(folder)
    checkContent(content, manifest)
    const tarball = join(folder, content.filename)
    lint('publint', 'publint', ['run', tarball, '--strict'])
    const attwFlags = [
      '--profile',
      'esm-only',
      '--no-emoji',
      '--no-definitely-typed',
      '--format',
      'ascii',
    ]
    lint('@arethetypeswrong/cli', 'attw', [tarball, ...attwFlags])
    importDoors(tarball, folder, manifest)
    compileDoors(folder, manifest)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return 0
}

function checkContent({ files, size, unpackedSize }, manifest) {
  const paths = files.map(({ path }) => path)
  const unwanted = paths.filter((path) => !ALLOWED.some((pattern) => pattern.test(path)))
  const missing = listRequired(manifest).filter((path) => !paths.includes(path))
  const problems = [
    ...unwanted.map((path) => `${path} is in the package and should not be`),
    ...missing.map((path) => `${path} is not in the package and should be`),
  ]
  if (size > SIZE_BYTES_MAX)
    problems.push(`the package has ${size} bytes, and ${SIZE_BYTES_MAX} are the limit`)
  if (problems.length > 0) throw new Refusal(problems.join('\n'))
  const kib = (bytes) => `${Math.ceil(bytes / 1024)} KiB`
  console.log(`package: ${paths.length} files, ${kib(size)} packed, ${kib(unpackedSize)} unpacked`)
}

function listRequired(manifest) {
  const addon = process.platform === 'linux' ? [`prebuilds/linux-${process.arch}/percore.node`] : []
  const doors = listDoors(manifest).flatMap(([, target]) => Object.values(target))
  const programs = Object.values(manifest.bin ?? {})
  const texts = ['README.md', 'CHANGELOG.md', 'LICENSE-APACHE', 'LICENSE-MIT', 'native/addon.c']
  return [...addon, ...[...doors, ...programs].map((path) => path.replace(/^\.\//, '')), ...texts]
}

function listDoors(manifest) {
  return Object.entries(manifest.exports).filter(([, target]) => typeof target === 'object')
}

function lint(packageName, programName, args) {
  const program = packageProgram(packageName, programName)
  if (!program)
    throw new Refusal(`Cannot check the package: ${packageName} is not installed; run: npm ci`)
  // Both print pages when all is well.
  const result = capture(process.execPath, [program, ...args])
  if (result.status !== 0) {
    throw new Refusal(`${result.output}\n${programName} found the above in the package`)
  }
  console.log(`package: ${programName} finds nothing`)
}

/** Installs the tarball, without a network or a compiler, and imports every door from outside. */
function importDoors(tarball, folder, manifest) {
  const target = join(folder, 'node_modules', manifest.name)
  // A scope of its own, whatever stands above the folder.
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  const env = { ...process.env, CC: '/nonexistent/cc' }
  const flags = ['--offline', '--no-audit', '--no-fund', '--no-update-notifier']
  const installed = capture('npm', ['install', ...flags, tarball], { cwd: folder, env })
  if (installed.status !== 0 || /warn/i.test(installed.output)) {
    throw new Refusal(
      `npm install of the package should succeed without a word:\n${installed.output}`,
    )
  }
  const lines = listDoors(manifest).map(([door]) => {
    const specifier = JSON.stringify(door.replace(/^\./, manifest.name))
    return `console.log(${specifier}, Object.keys(await import(${specifier})).length, 'exports')`
  })
  checkMaps(target)
  writeFileSync(join(folder, 'doors.mjs'), `${lines.join('\n')}\n`)
  if (runNode(['doors.mjs'], { cwd: folder }) !== 0) {
    throw new Refusal('The installed package cannot be imported, see above')
  }
  for (const path of Object.values(manifest.bin ?? {})) {
    const isScript = readFileSync(join(target, path), 'utf8').startsWith('#!/usr/bin/env node\n')
    if (!isScript) throw new Refusal(`${path} must start with #!/usr/bin/env node`)
  }
}

/** Maps lead to sources that the package does not have: each must bring its own. */
function checkMaps(target) {
  const folder = join(target, 'dist/src')
  const paths = readdirSync(folder, { recursive: true }).filter((path) => path.endsWith('.map'))
  for (const path of paths) {
    const { sources, sourcesContent } = JSON.parse(readFileSync(join(folder, path), 'utf8'))
    if (sourcesContent?.length !== sources.length) {
      throw new Refusal(`dist/src/${path} must hold its sources: it names ${sources}`)
    }
  }
}

/** Compiles a strict program against every door, with the types of libraries checked as well. */
function compileDoors(folder, manifest) {
  const specifiers = listDoors(manifest).map(([door]) => door.replace(/^\./, manifest.name))
  const lines = specifiers.map((specifier, index) => `import * as door${index} from '${specifier}'`)
  const uses = specifiers.map((_, index) => `door${index}`)
  writeFileSync(join(folder, 'doors.ts'), `${lines.join('\n')}\nexport default [${uses}]\n`)
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: 'ES2022',
    lib: ['ES2022', 'ESNext.Disposable'],
    module: 'NodeNext',
    types: ['node'],
    typeRoots: [join(ROOT, 'node_modules/@types')],
  }
  const config = { compilerOptions, files: ['doors.ts'] }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  const result = capture(process.execPath, [packageProgram('typescript', 'tsc'), '-p', folder])
  if (result.status !== 0) {
    throw new Refusal(`${result.output}\nA strict program cannot be compiled against the package`)
  }
  console.log(`package: a strict program compiles against ${specifiers.length} doors`)
}

await runAsProgram(import.meta.url, main)
