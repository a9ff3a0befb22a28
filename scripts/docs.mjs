/** Checks that every relative link of the Markdown files leads to a file, and to a heading that it has. */
import { existsSync } from 'node:fs'
import { join, posix } from 'node:path'
import { listFiles, ROOT, readText, runAsProgram } from './project.mjs'
import { lineAt } from './source.mjs'

const TOP_FILES = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'UPGRADING.md']
const LINK = /\[[^\]\n]*\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g

function main() {
  const paths = [...TOP_FILES.filter((path) => existsSync(join(ROOT, path))), ...listMarkdown()]
  const problems = paths.flatMap(checkLinks)
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) return 1
  console.log(`docs: links of ${paths.length} files`)
  return 0
}

function listMarkdown() {
  return [...listFiles('docs', '.md'), ...listFiles('examples', '.md')]
}

function checkLinks(path) {
  const text = blankCode(readText(path))
  return [...text.matchAll(LINK)].flatMap((match) => {
    const problem = judgeLink(path, match[1])
    return problem ? [`${path}:${lineAt(text, match.index)}: ${problem}`] : []
  })
}

function judgeLink(path, link) {
  if (/^[a-z][a-z+.-]*:/i.test(link)) return undefined
  const [file, heading] = link.split('#')
  const target = file ? posix.join(posix.dirname(path), decodeURI(file)) : path
  if (!existsSync(join(ROOT, target))) return `${link} leads nowhere`
  if (!heading || !target.endsWith('.md')) return undefined
  return listAnchors(readText(target)).has(heading)
    ? undefined
    : `${target} has no heading #${heading}`
}

/** Anchors as GitHub makes them from headings; the second of one name gets `-1`. */
function listAnchors(text) {
  const anchors = new Set()
  for (const [, title] of blankCode(text, /^(`{3,}|~{3,})[\s\S]*?^\1/gm).matchAll(
    /^#{1,6}\s+(.+?)\s*#*$/gm,
  )) {
    const plain = title.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const anchor = plain.replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-')
    let name = anchor
    for (let count = 1; anchors.has(name); count++) name = `${anchor}-${count}`
    anchors.add(name)
  }
  for (const [, name] of text.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(name)
  return anchors
}

/** Blanks code, since what looks like a link in it is none; lines stay where they are. */
function blankCode(text, pattern = /^(`{3,}|~{3,})[\s\S]*?^\1|`[^`\n]+`/gm) {
  return text.replace(pattern, (code) => code.replace(/[^\n]/g, ' '))
}

await runAsProgram(import.meta.url, main)
