import { KernelError, type KernelErrorContext } from '../base/index.ts'

export const EPERM = 1
export const ENOENT = 2
export const ESRCH = 3
export const EINTR = 4
export const EIO = 5
export const ENXIO = 6
export const EBADF = 9
export const EAGAIN = 11
export const ENOMEM = 12
export const EACCES = 13
export const EFAULT = 14
export const EBUSY = 16
export const EEXIST = 17
export const EXDEV = 18
export const ENOTDIR = 20
export const EISDIR = 21
export const EINVAL = 22
export const ENFILE = 23
export const EMFILE = 24
export const EFBIG = 27
export const ENOSPC = 28
export const EPIPE = 32
export const ENOSYS = 38
export const ENOTEMPTY = 39
export const ELOOP = 40
export const ETIME = 62
export const EBADFD = 77
export const ENOTSOCK = 88
export const EDESTADDRREQ = 89
export const EMSGSIZE = 90
export const EOPNOTSUPP = 95
export const EAFNOSUPPORT = 97
export const EPROTOTYPE = 91
export const EADDRINUSE = 98
export const EADDRNOTAVAIL = 99
export const ENETUNREACH = 101
export const ECONNABORTED = 103
export const ECONNRESET = 104
export const ENOBUFS = 105
export const EISCONN = 106
export const ENOTCONN = 107
export const ETIMEDOUT = 110
export const ECONNREFUSED = 111
export const EHOSTUNREACH = 113
export const EALREADY = 114
export const EINPROGRESS = 115
export const ECANCELED = 125

/** Linux's numbers 1 … 133 in order: name, and what it says to a person. */
const TABLE =
  `EPERM operation not permitted|ENOENT no such file or directory|ESRCH no such process|EINTR interrupted system call|EIO input/output error|ENXIO no such device or address|E2BIG argument list too long|ENOEXEC exec format error|EBADF bad file descriptor|ECHILD no child processes|EAGAIN resource temporarily unavailable|ENOMEM not enough memory|EACCES permission denied|EFAULT bad address|ENOTBLK block device required|EBUSY resource busy or locked|EEXIST file already exists|EXDEV cross-device link not permitted|ENODEV no such device|ENOTDIR not a directory|EISDIR illegal operation on a directory|EINVAL invalid argument|ENFILE file table overflow|EMFILE too many open files|ENOTTY inappropriate ioctl for device|ETXTBSY text file is busy|EFBIG file too large|ENOSPC no space left on device|ESPIPE invalid seek|EROFS read-only file system|EMLINK too many links|EPIPE broken pipe|EDOM argument out of domain|ERANGE result too large|EDEADLK resource deadlock avoided|ENAMETOOLONG name too long|ENOLCK no locks available|ENOSYS function not implemented|ENOTEMPTY directory not empty|ELOOP too many symbolic links encountered||ENOMSG no message of desired type|EIDRM identifier removed|ECHRNG channel number out of range|EL2NSYNC level 2 not synchronized|EL3HLT level 3 halted|EL3RST level 3 reset|ELNRNG link number out of range|EUNATCH protocol driver not attached|ENOCSI no CSI structure available|EL2HLT level 2 halted|EBADE invalid exchange|EBADR invalid request descriptor|EXFULL exchange full|ENOANO no anode|EBADRQC invalid request code|EBADSLT invalid slot||EBFONT bad font file format|ENOSTR device not a stream|ENODATA no data available|ETIME timer expired|ENOSR out of streams resources|ENONET machine is not on the network|ENOPKG package not installed|EREMOTE object is remote|ENOLINK link has been severed|EADV advertise error|ESRMNT srmount error|ECOMM communication error on send|EPROTO protocol error|EMULTIHOP multihop attempted|EDOTDOT RFS specific error|EBADMSG bad message|EOVERFLOW value too large for defined data type|ENOTUNIQ name not unique on network|EBADFD file descriptor in bad state|EREMCHG remote address changed|ELIBACC cannot access a needed shared library|ELIBBAD accessing a corrupted shared library|ELIBSCN lib section corrupted|ELIBMAX too many shared libraries|ELIBEXEC cannot exec a shared library directly|EILSEQ illegal byte sequence|ERESTART interrupted call should be restarted|ESTRPIPE streams pipe error|EUSERS too many users|ENOTSOCK socket operation on non-socket|EDESTADDRREQ destination address required|EMSGSIZE message too long|EPROTOTYPE protocol wrong type for socket|ENOPROTOOPT protocol not available|EPROTONOSUPPORT protocol not supported|ESOCKTNOSUPPORT socket type not supported|EOPNOTSUPP operation not supported|EPFNOSUPPORT protocol family not supported|EAFNOSUPPORT address family not supported|EADDRINUSE address already in use|EADDRNOTAVAIL address not available|ENETDOWN network is down|ENETUNREACH network is unreachable|ENETRESET network dropped connection on reset|ECONNABORTED software caused connection abort|ECONNRESET connection reset by peer|ENOBUFS no buffer space available|EISCONN socket is already connected|ENOTCONN socket is not connected|ESHUTDOWN cannot send after transport endpoint shutdown|ETOOMANYREFS too many references|ETIMEDOUT connection timed out|ECONNREFUSED connection refused|EHOSTDOWN host is down|EHOSTUNREACH host is unreachable|EALREADY operation already in progress|EINPROGRESS operation in progress|ESTALE stale file handle|EUCLEAN structure needs cleaning|ENOTNAM not a XENIX named type file|ENAVAIL no XENIX semaphores available|EISNAM is a named type file|EREMOTEIO remote I/O error|EDQUOT disk quota exceeded|ENOMEDIUM no medium found|EMEDIUMTYPE wrong medium type|ECANCELED operation canceled|ENOKEY required key not available|EKEYEXPIRED key has expired|EKEYREVOKED key has been revoked|EKEYREJECTED key was rejected|EOWNERDEAD owner died|ENOTRECOVERABLE state not recoverable|ERFKILL operation not possible due to RF-kill|EHWPOISON memory page has hardware error`.split(
    '|',
  )

/** The kernel's name and text for a positive error number. */
export function describeErrno(number: number): { code: string; text: string } {
  const entry = TABLE[number - 1]
  if (!entry) return { code: `E${number}`, text: `unknown error ${number}` }
  const space = entry.indexOf(' ')
  return { code: entry.slice(0, space), text: entry.slice(space + 1) }
}

/** The error of a call that returned `result`, a negative error number. */
export function kernelError(result: number, context: KernelErrorContext): KernelError {
  return new KernelError({ ...describeErrno(-result), errno: result }, context)
}
