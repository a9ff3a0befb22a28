/**
 * Compiles every example against the built package, and runs those that are programs.
 *
 * - `examples/*.ts` run, unless the first line says `// not run: <reason>`; deeper files are their parts.
 * - A block ```ts run of README.md, docs/ or a doc comment runs, ```ts is only compiled, and
 *   ```ts fragment is neither. ```ts file=shard.ts is a module of that name for its neighbours.
 *
 * `node scripts/examples.mjs README` runs only the examples whose source contains the word.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  capture,
  listFiles,
  packageProgram,
  Refusal,
  ROOT,
  readText,
  runAsProgram,
} from './project.mjs'

const BUILD = 'build/examples'
const TIMEOUT_MS = 30_000
const FENCE = /^(\s*(?:\* ?)?)(`{3,})ts(?:\s+(.*?))?\s*$/

function main(filters) {
  if (!existsSync(join(ROOT, 'dist/src/index.d.ts'))) {
    throw new Refusal('Cannot run examples: percore is not built; run: npm run build')
  }
  rmSync(join(ROOT, BUILD), { recursive: true, force: true })
  const blocks = listBlocks()
  for (const { file, code } of blocks) {
    mkdirSync(dirname(join(ROOT, file)), { recursive: true })
    // Without an export, two blocks would share one scope, and neither could await.
    writeFileSync(join(ROOT, file), `${code}\nexport {}\n`)
  }
  const programs = [...listPrograms(), ...blocks.filter((block) => block.isRun)]
  const fileCount = listFiles('examples', '.ts').length + blocks.length
  if (fileCount === 0) {
    console.log('examples: there are none')
    return 0
  }
  if (!compileExamples(blocks)) return 1
  const wanted = programs.filter(
    ({ source }) => !filters.length || filters.some((word) => source.includes(word)),
  )
  if (filters.length > 0 && wanted.length === 0)
    throw new Refusal(`Cannot run examples: none matches ${filters.join(' ')}`)
  const failureCount = wanted.filter((program) => !runExample(program)).length
  console.log(`examples: ${fileCount} compiled, ${wanted.length} run, ${failureCount} failed`)
  return failureCount === 0 ? 0 : 1
}

function listPrograms() {
  return listFiles('examples', '.ts')
    .filter((path) => dirname(path) === 'examples' && !readText(path).startsWith('// not run: '))
    .map((path) => ({ source: path, file: path }))
}

function listBlocks() {
  const markdown = ['README.md', ...listFiles('docs', '.md')].filter((path) =>
    existsSync(join(ROOT, path)),
  )
  const sources = listFiles('src', '.ts').filter((path) => !path.endsWith('.test.ts'))
  return [...markdown, ...sources].flatMap((path) => readBlocks(path, readText(path)))
}

/** The TypeScript blocks of a Markdown file, or of the doc comments of a source. */
function readBlocks(path, text) {
  const blocks = []
  let open
  text.split('\n').forEach((line, index) => {
    if (open) {
      const content = line.slice(0, open.prefix.length).trim()
        ? stripPrefix(line, open.prefix)
        : line.slice(open.prefix.length)
      if (content.trimEnd() === open.fence) {
        if (!open.words.includes('fragment')) blocks.push(makeBlock(path, open))
        open = undefined
      } else open.lines.push(content)
      return
    }
    const match = FENCE.exec(line)
    if (match && path.endsWith('.ts') === match[1].includes('*')) {
      open = {
        prefix: match[1],
        fence: match[2],
        words: (match[3] ?? '').split(/\s+/),
        line: index + 1,
        lines: [],
      }
    }
  })
  if (open) throw new Refusal(`${path}:${open.line}: the block is not closed`)
  return blocks
}

/** A line of a doc comment without its ` * `, which an empty line has without the space. */
function stripPrefix(line, prefix) {
  return line.startsWith(prefix) ? line.slice(prefix.length) : line.replace(/^\s*\* ?/, '')
}

function makeBlock(path, { words, line, lines }) {
  const name = words.find((word) => word.startsWith('file='))?.slice('file='.length) ?? `${line}.ts`
  const file = `${BUILD}/blocks/${path}/${name}`
  return {
    source: `${path}:${line}`,
    path,
    line,
    file,
    isRun: words.includes('run'),
    code: lines.join('\n'),
  }
}

/** Compiles all examples at once, and reports errors where the reader of the document finds them. */
function compileExamples(blocks) {
  const compiler = packageProgram('typescript', 'tsc')
  if (!compiler)
    throw new Refusal('Cannot compile examples: typescript is not installed; run: npm ci')
  const result = capture(process.execPath, [
    compiler,
    '-p',
    'tsconfig.examples.json',
    '--pretty',
    'false',
  ])
  const blockOf = new Map(blocks.map((block) => [block.file, block]))
  const output = result.output.replace(/^(\S+?)\((\d+),(\d+)\)/gm, (place, file, line, column) => {
    const block = blockOf.get(file)
    return block ? `${block.path}:${block.line + Number(line)}:${column}` : place
  })
  process.stderr.write(output)
  return result.status === 0
}

function runExample({ source, file }) {
  const compiled = join(ROOT, BUILD, 'out', file.replace(/\.ts$/, '.js'))
  // A folder of its own, on the disk of the project: examples leave files, and tmpfs may refuse O_DIRECT.
  const folder = join(ROOT, BUILD, 'run', source.replace(/[^\w.-]/g, '_'))
  mkdirSync(folder, { recursive: true })
  const startedMs = performance.now()
  const result = capture(process.execPath, ['--enable-source-maps', compiled], {
    cwd: folder,
    input: '',
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
  })
  const elapsed = `${Math.round(performance.now() - startedMs)} ms`
  if (result.status === 0) {
    console.log(`ok    ${source} (${elapsed})`)
    return true
  }
  const isLate = result.error?.code === 'ETIMEDOUT'
  const reason = isLate
    ? `still running after ${TIMEOUT_MS / 1000} s`
    : (result.signal ?? `exit code ${result.status}`)
  console.log(`FAIL  ${source} (${reason})\n${result.output.replace(/^/gm, '      ')}`)
  return false
}

await runAsProgram(import.meta.url, main)
