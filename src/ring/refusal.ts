import { RuntimeError } from '../base/index.ts'
import { EINVAL, EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM, kernelError } from '../kernel/index.ts'

/** Turns a refused io_uring_setup into an error that names the likely cause and its cure. */
export function refusedRing(result: number): Error {
  const cause = kernelError(result, { syscall: 'io_uring_setup' })
  const unavailable = (why: string): RuntimeError =>
    new RuntimeError('ERR_URING_UNAVAILABLE', `Cannot start: ${why}`, { cause })
  switch (-result) {
    case ENOSYS:
      return unavailable('this kernel has no io_uring; Linux 5.19 or newer is required')
    case EPERM:
      return unavailable(
        'io_uring is refused, by sysctl (run: sysctl -w kernel.io_uring_disabled=0) or by the seccomp profile of a container (run it with --security-opt seccomp=unconfined, or a profile that allows io_uring)',
      )
    case EINVAL:
      return unavailable(
        'this kernel is too old for io_uring as percore uses it; Linux 5.19 or newer is required',
      )
    case ENOMEM:
      return new RuntimeError(
        'ERR_MEMLOCK_LIMIT',
        'Cannot start: there is not enough lockable memory for a ring; raise the limit (ulimit -l unlimited, or LimitMEMLOCK in systemd) or choose a smaller ring',
        { cause },
      )
    case EMFILE:
    case ENFILE:
      return kernelError(result, { syscall: 'io_uring_setup' })
    default:
      return unavailable(`io_uring_setup failed with ${cause.code}`)
  }
}
