/** Checks what npm would publish: its files, its size, its types, and that it can be installed and imported. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  capture,
  packageProgram,
  Refusal,
  ROOT,
  readManifest,
  run,
  runAsProgram,
  runNode,
} from './project.mjs'

const SIZE_BYTES_MAX = 2 * 1024 * 1024
const ALLOWED = [
  /^dist\/src\/(?!.*\.test\.).+\.(?:js|js\.map|d\.ts)$/,
  /^prebuilds\/linux-(?:x64|arm64)\/percore\.node$/,
  /^native\/[\w-]+\.[ch]$/,
  /^(?:package\.json|README\.md|CHANGELOG\.md|LICENSE-APACHE|LICENSE-MIT)$/,
]

function main() {
  const manifest = readManifest()
  // Without scripts, as `prepare` would build again and print into the JSON.
  const result = npm(['pack', '--dry-run', '--json', '--ignore-scripts'])
  const [content] = Object.values(JSON.parse(result.stdout))
  checkContent(content, manifest)

  const folder = mkdtempSync(join(tmpdir(), 'percore-package-'))
  try {
    npm(['pack', '--ignore-scripts', '--pack-destination', folder])
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

/** Installs the tarball as npm does, without a network, and imports every door from outside. */
function importDoors(tarball, folder, manifest) {
  const target = join(folder, 'node_modules', manifest.name)
  mkdirSync(target, { recursive: true })
  if (run('tar', ['-xzf', tarball, '--strip-components=1', '-C', target]) !== 0) {
    throw new Refusal('Cannot check the package: tar could not extract it')
  }
  const lines = listDoors(manifest).map(([door]) => {
    const specifier = JSON.stringify(door.replace(/^\./, manifest.name))
    return `console.log(${specifier}, Object.keys(await import(${specifier})).length, 'exports')`
  })
  // A scope of its own, whatever stands above the folder.
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(folder, 'doors.mjs'), `${lines.join('\n')}\n`)
  if (runNode(['doors.mjs'], { cwd: folder }) !== 0) {
    throw new Refusal('The installed package cannot be imported, see above')
  }
  for (const path of Object.values(manifest.bin ?? {})) {
    const isScript = readFileSync(join(target, path), 'utf8').startsWith('#!/usr/bin/env node\n')
    if (!isScript) throw new Refusal(`${path} must start with #!/usr/bin/env node`)
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

function npm(args) {
  const result = capture('npm', args, { cwd: ROOT })
  if (result.status === 0) return result
  throw new Refusal(
    `Cannot check the package: npm ${args[0]} failed\n${result.error?.message ?? result.output}`,
  )
}

await runAsProgram(import.meta.url, main)
