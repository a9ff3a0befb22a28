import type { ExecutorStats } from '../../executor/index.ts'
import type { Finding, Section } from './finding.ts'
import { readField, readText } from './read.ts'

const NODE_MAJOR_MIN = 20
const NODE_MINOR_MIN = 19
/** From here on AsyncLocalStorage, by which work knows its task queue, costs a third. */
const NODE_MAJOR_FAST = 24

/** Whether the native layer could be loaded, or why not. */
export type AddonResult = { readonly error: Error | null }

/** Looks at Node and the native layer. */
export function examineNode(addon: AddonResult, stats: ExecutorStats | null): Section {
  return { id: 'node', title: 'Node', findings: [nodeVersion(), nativeLayer(addon, stats)] }
}

/** Looks for signs of a container. */
export function examineContainer(): Section {
  const kind = findContainer()
  const isFiltered = readField('/proc/self/status', /^Seccomp:\s+(\d)/m) === '2'
  const filter = isFiltered ? 'a seccomp filter is in force' : 'no seccomp filter is in force'
  const place =
    kind === undefined ? 'Nothing hints at a container' : `This looks like a container (${kind})`
  const data = { container: kind ?? null, isFiltered }
  const text = `${place}; ${filter}.`
  return {
    id: 'container',
    title: 'Container',
    findings: [{ id: 'container', state: 'ok', text, data }],
  }
}

function nodeVersion(): Finding {
  const { node, uv, v8 } = process.versions
  const [major = 0, minor = 0] = node.split('.').map(Number)
  const id = 'version'
  const data = { version: node, uv, v8 }
  const text = `Node ${node} (libuv ${uv}, V8 ${v8}).`
  if (major < NODE_MAJOR_MIN || (major === NODE_MAJOR_MIN && minor < NODE_MINOR_MIN)) {
    const change = `Use Node 20.19 or newer; ${NODE_MAJOR_FAST} or newer is recommended: nvm install ${NODE_MAJOR_FAST}`
    return { id, state: 'broken', text: `${text} It is too old.`, change, data }
  }
  if (major >= NODE_MAJOR_FAST) return { id, state: 'ok', text, data }
  return {
    id,
    state: 'could be better',
    text: `${text} It works, but an await within a task costs less from Node ${NODE_MAJOR_FAST} on.`,
    change: `Use Node ${NODE_MAJOR_FAST} or newer: nvm install ${NODE_MAJOR_FAST}`,
    data,
  }
}

function nativeLayer({ error }: AddonResult, stats: ExecutorStats | null): Finding {
  const platform = `${process.platform}-${process.arch}`
  const id = 'native-layer'
  const file = `prebuilds/${platform}/percore.node`
  if (error === null) {
    const data = { platform, file, driver: stats?.driver ?? null }
    return { id, state: 'ok', text: `The native layer is loaded: ${file}.`, data }
  }
  const reason = error.cause instanceof Error ? error.cause : error
  const code = 'code' in reason ? String(reason.code) : reason.name
  const data = { platform, file, code, message: reason.message }
  if (process.platform !== 'linux') {
    return {
      id,
      state: 'broken',
      text: `io_uring is an interface of Linux, and this is ${platform}.`,
      change:
        'Run it in a Linux container or virtual machine; programs can be tested here with simulate() of percore/testing',
      data,
    }
  }
  const change =
    code === 'ERR_DLOPEN_DISABLED'
      ? 'Allow native code: node --permission --allow-addons …'
      : 'Build it, in a checkout: npm run build; else install the package again: npm install percore'
  // The first line: what follows are stacks of require().
  const why = reason.message.split('\n')[0]?.replace(/\.$/, '')
  return {
    id,
    state: 'broken',
    text: `The native layer ${file} could not be loaded (${code}: ${why}).`,
    change,
    data,
  }
}

function findContainer(): string | undefined {
  if (process.env.KUBERNETES_SERVICE_HOST !== undefined) return 'Kubernetes'
  if (readText('/run/.containerenv') !== undefined) return 'Podman'
  if (readText('/.dockerenv') !== undefined) return 'Docker'
  if (process.env.container !== undefined) return process.env.container
  return readField('/proc/1/cgroup', /\b(docker|kubepods|containerd|lxc|libpod)\b/)
}
