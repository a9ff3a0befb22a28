import { release } from 'node:os'
import type { Capabilities, Refusal } from '../../kernel/index.ts'
import type { Finding, Section } from './finding.ts'

/** What percore submits and cannot do without (Linux 5.19). */
const REQUIRED =
  `NOP READ WRITE READ_FIXED WRITE_FIXED FSYNC FALLOCATE OPENAT STATX POLL_ADD TIMEOUT ASYNC_CANCEL
ACCEPT CONNECT SEND RECV SHUTDOWN SOCKET MSG_RING UNLINKAT`.split(/\s+/)

/** Judges what the kernel offers. Pure. */
export function examineKernel(capabilities: Capabilities): Section {
  const findings =
    capabilities.refusal === null
      ? [
          allowed(capabilities),
          operations(capabilities),
          setupFlags(capabilities),
          bufferRings(capabilities),
          waiting(capabilities),
          files(capabilities),
        ]
      : [refused(capabilities.refusal)]
  return { id: 'kernel', title: 'Kernel and io_uring', findings }
}

function allowed({ features }: Capabilities): Finding {
  return {
    id: 'io-uring',
    state: 'ok',
    text: `io_uring is allowed on Linux ${release()}.`,
    data: { release: release(), features },
  }
}

/** Names cause and cure of a refused io_uring. Pure. */
export function refused(refusal: Refusal): Finding {
  const { text, change } = explain(refusal)
  return { id: 'io-uring', state: 'broken', text, change, data: { ...refusal } }
}

function explain({ cause, code, sysctlValue }: Refusal): { text: string; change: string } {
  switch (cause) {
    case 'sysctl':
      return {
        text: `io_uring is refused (${code}) by sysctl: kernel.io_uring_disabled is ${sysctlValue}.`,
        change: 'Allow it, as root: sysctl -w kernel.io_uring_disabled=0',
      }
    case 'seccomp':
      return {
        text: `io_uring is refused (${code}) by a seccomp filter, as the default profiles of Docker and other container runtimes do.`,
        change:
          'Run the container with a profile that allows io_uring_setup, io_uring_enter and io_uring_register: docker run --security-opt seccomp=profile.json, or seccomp=unconfined to try',
      }
    case 'policy':
      return {
        text: `io_uring is refused (${code}), neither by sysctl nor by a seccomp filter of this process: by a security module, or the sandbox that runs it.`,
        change: 'Look for a denial of io_uring: sudo ausearch -m avc -ts recent; sudo dmesg',
      }
    case 'memlock':
      return {
        text: `A ring is refused (${code}), as there is not enough lockable memory.`,
        change: 'Raise the limit: ulimit -l unlimited, or LimitMEMLOCK=infinity in systemd',
      }
    case 'absent':
      return {
        text: `This kernel, Linux ${release()}, has no io_uring, or it was built without.`,
        change: 'Use Linux 5.19 or newer; 6.1 or newer is recommended: uname -r',
      }
    default:
      return {
        text: `A ring cannot be set up on Linux ${release()}: ${code}.`,
        change: 'Use Linux 5.19 or newer; 6.1 or newer is recommended: uname -r',
      }
  }
}

function operations({ opcodes }: Capabilities): Finding {
  const missing = REQUIRED.filter((name) => !opcodes.includes(name))
  const id = 'operations'
  const data = { opcodes, missing }
  if (missing.length > 0) {
    return {
      id,
      state: 'broken',
      text: `The kernel lacks operations that percore requires: ${missing.join(', ')}.`,
      change: 'Use Linux 5.19 or newer: uname -r',
      data,
    }
  }
  if (!opcodes.includes('FTRUNCATE')) {
    return {
      id,
      state: 'could be better',
      text: `The kernel has ${opcodes.length} operations, but not FTRUNCATE: cutting a file blocks the thread.`,
      change: 'Use Linux 6.9 or newer: uname -r',
      data,
    }
  }
  return {
    id,
    state: 'ok',
    text: `It has ${opcodes.length} operations, all that percore uses.`,
    data,
  }
}

function setupFlags({ setupFlags: flags }: Capabilities): Finding {
  const id = 'setup-flags'
  const data = { setupFlags: flags }
  if (!flags.includes('DEFER_TASKRUN')) {
    return {
      id,
      state: 'could be better',
      text: 'Rings work, but without DEFER_TASKRUN: completions interrupt the thread whenever they come.',
      change: 'Use Linux 6.1 or newer: uname -r',
      data,
    }
  }
  const text = `Setup flags that it takes: ${flags.join(', ')}.`
  return { id, state: 'ok', text, data }
}

function bufferRings({ hasBufferRings }: Capabilities): Finding {
  const id = 'buffer-rings'
  if (hasBufferRings) {
    return { id, state: 'ok', text: 'Sockets can receive into provided-buffer rings.' }
  }
  return {
    id,
    state: 'broken',
    text: 'Sockets cannot receive into provided-buffer rings, as percore/net does.',
    change: 'Use Linux 5.19 or newer: uname -r',
  }
}

function waiting({ hasRegisteredRingFd, features }: Capabilities): Finding {
  const id = 'waiting'
  const hasNoIowait = features.includes('NO_IOWAIT')
  const data = { hasRegisteredRingFd, hasNoIowait }
  if (!hasRegisteredRingFd) {
    return {
      id,
      state: 'could be better',
      text: 'Rings cannot be entered by a registered index: every call looks up the descriptor.',
      change: 'Use Linux 5.18 or newer: uname -r',
      data,
    }
  }
  if (!hasNoIowait) {
    return {
      id,
      state: 'could be better',
      text: 'Rings are entered by registered index. An idle executor is shown as waiting for I/O (iowait), and keeps its processor from sleeping deeply.',
      change: 'Use Linux 6.15 or newer: uname -r',
      data,
    }
  }
  return {
    id,
    state: 'ok',
    text: 'Rings are entered by registered index, and idle executors do not count as iowait.',
    data,
  }
}

function files({ letsFilesGo }: Capabilities): Finding {
  const id = 'registered-files'
  if (letsFilesGo) return { id, state: 'ok', text: 'Files are used by registered index.' }
  return {
    id,
    state: 'could be better',
    text: 'Files are used by descriptor, which costs a look-up each: this kernel keeps registered ones open after they are closed.',
    change: 'Use Linux 6.13 or newer: uname -r',
  }
}
