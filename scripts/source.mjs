/** Reads TypeScript just well enough for the checks of tidy: what is code, and what it imports. */

const TOKEN =
  /\s+|\/\/.*|\/\*[\s\S]*?(?:\*\/|$)|'(?:\\[\s\S]|[^'\\\n])*'?|"(?:\\[\s\S]|[^"\\\n])*"?|[\w$]+|[\s\S]/y
const REGEX = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/\w*/y
const TEMPLATE_PART = /((?:\\[\s\S]|\$(?!\{)|[^\\`$])*)(`|\$\{|$)/y
/** A slash after one of these divides; after anything else it starts a regular expression. */
const OPERAND_END = /^(?:[)\]}]|(?!(?:return|typeof|case|of|in|throw|await|yield)$)[\w$]+)$/
const IMPORT = /\b(?:from|import|getBuiltinModule)\s*\(?\s*(['"`])/g

/**
 * Blanks comments and what stands within strings, templates and regular expressions.
 *
 * The result has the length and the lines of `text`, so that a position in one is one in the other.
 */
export function maskSource(text) {
  const braces = []
  let code = ''
  let before = ''
  let inTemplate = false
  while (code.length < text.length) {
    if (inTemplate) {
      const [, body, end] = matchAt(TEMPLATE_PART, text, code.length)
      code += blank(body) + end
      inTemplate = false
      before = end
      if (end === '${') braces.push(true)
      continue
    }
    const [token] =
      (text[code.length] === '/' && isRegexNext(text, code.length, before)) ||
      matchAt(TOKEN, text, code.length)
    code += maskToken(token)
    if (/^(?:\s|\/\/|\/\*)/.test(token)) continue
    before = token
    if (token === '`') inTemplate = true
    if (token === '{') braces.push(false)
    if (token === '}') inTemplate = braces.pop() === true
  }
  return code
}

/** Every module that the source names, with the position where it does. */
export function listImports(text, code) {
  return [...code.matchAll(IMPORT)].map((match) => {
    const start = match.index + match[0].length
    return { specifier: text.slice(start, code.indexOf(match[1], start)), index: match.index }
  })
}

/** Number of the line, from 1, that holds a position. */
export function lineAt(text, index) {
  return text.slice(0, index).split('\n').length
}

function isRegexNext(text, at, before) {
  if (text[at + 1] === '/' || text[at + 1] === '*' || OPERAND_END.test(before)) return false
  return matchAt(REGEX, text, at)
}

function maskToken(token) {
  if (token.length > 1 && /^['"]/.test(token))
    return token[0] + blank(token.slice(1, -1)) + token.at(-1)
  return token.length > 1 && token[0] === '/' ? blank(token) : token
}

function matchAt(pattern, text, at) {
  pattern.lastIndex = at
  return pattern.exec(text)
}

function blank(text) {
  return text.replace(/[^\n]/g, ' ')
}
