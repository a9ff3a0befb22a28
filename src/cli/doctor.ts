import type { Command } from './command.ts'
import { countState, type Examination, examine } from './doctor/examine.ts'
import type { FindingState, Section } from './doctor/finding.ts'
import { type Style, styleOf, wrap } from './style.ts'
import { readVersion } from './version.ts'

const FLAGS = {
  json: { type: 'boolean', summary: 'print one JSON document instead' },
} as const

const MARKS: Readonly<Record<FindingState, string>> = {
  ok: '✓',
  'could be better': '!',
  broken: '✗',
}

/** `percore doctor`: whether percore can run here, and what would let it run better. */
export const doctor: Command<typeof FLAGS> = {
  name: 'doctor',
  summary: 'whether percore can run here, and what would let it run better',
  description: wrap(
    'Looks at the kernel, limits, processors, the file system of the current folder, Node and the ' +
      'container, and says what to change. Exits with 0 if percore can run here, with 1 if not.',
  ),
  flags: FLAGS,

  async main({ json }) {
    const examination = await examine(process.cwd())
    const text = json ? formatJson(examination) : formatText(examination, styleOf(process.stdout))
    process.stdout.write(text)
    return examination.canRun ? 0 : 1
  },
}

function formatJson({ canRun, sections }: Examination): string {
  const versions = { percore: readVersion(), node: process.versions.node }
  return `${JSON.stringify({ doctor: 1, ...versions, canRun, sections }, null, 2)}\n`
}

function formatText({ canRun, sections }: Examination, style: Style): string {
  const verdict = canRun
    ? style.green('percore can run here.')
    : style.red('percore cannot run here: see ✗ above.')
  const tally = (Object.keys(MARKS) as FindingState[])
    .map((state) => `${paintMark(state, style)} ${countState(sections, state)} ${state}`)
    .join('   ')
  return [
    `percore ${readVersion()}`,
    '',
    ...sections.map((section) => `${formatSection(section, style)}\n`),
    `${tally}\n${verdict}\n`,
  ].join('\n')
}

function formatSection({ title, findings }: Section, style: Style): string {
  const lines = [style.bold(title)]
  for (const { state, text, change } of findings) {
    const paragraph = wrap(text, { indent: 4 }).trimStart()
    lines.push(`  ${paintMark(state, style)} ${paragraph}`)
    if (change !== undefined) lines.push(wrap(`→ ${change}`, { indent: 6, hanging: 8 }))
  }
  return lines.join('\n')
}

function paintMark(state: FindingState, style: Style): string {
  const mark = MARKS[state]
  if (state === 'ok') return style.green(mark)
  return state === 'broken' ? style.red(mark) : style.yellow(mark)
}
