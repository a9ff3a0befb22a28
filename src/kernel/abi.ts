/**
 * Constants of Linux's user-space ABI: `linux/io_uring.h` and what its operations take.
 *
 * ABI: numbers are the kernel's and never change. Ours, since distributions' headers are older than
 * the kernels they run on. Same on x86-64 and arm64 unless a comment says otherwise.
 */

// Words of a submission entry (struct io_uring_sqe, 64 bytes).
export const SQE_WORDS = 16
// Words of a completion entry (struct io_uring_cqe, 16 bytes).
export const CQE_WORDS = 4

// enum io_uring_op
export const IORING_OP_NOP = 0
export const IORING_OP_READV = 1
export const IORING_OP_WRITEV = 2
export const IORING_OP_FSYNC = 3
export const IORING_OP_READ_FIXED = 4
export const IORING_OP_WRITE_FIXED = 5
export const IORING_OP_POLL_ADD = 6
export const IORING_OP_POLL_REMOVE = 7
export const IORING_OP_SYNC_FILE_RANGE = 8
export const IORING_OP_SENDMSG = 9
export const IORING_OP_RECVMSG = 10
export const IORING_OP_TIMEOUT = 11
export const IORING_OP_TIMEOUT_REMOVE = 12
export const IORING_OP_ACCEPT = 13
export const IORING_OP_ASYNC_CANCEL = 14
export const IORING_OP_LINK_TIMEOUT = 15
export const IORING_OP_CONNECT = 16
export const IORING_OP_FALLOCATE = 17
export const IORING_OP_OPENAT = 18
export const IORING_OP_CLOSE = 19
export const IORING_OP_FILES_UPDATE = 20
export const IORING_OP_STATX = 21
export const IORING_OP_READ = 22
export const IORING_OP_WRITE = 23
export const IORING_OP_FADVISE = 24
export const IORING_OP_MADVISE = 25
export const IORING_OP_SEND = 26
export const IORING_OP_RECV = 27
export const IORING_OP_OPENAT2 = 28
export const IORING_OP_EPOLL_CTL = 29
export const IORING_OP_SPLICE = 30
export const IORING_OP_PROVIDE_BUFFERS = 31
export const IORING_OP_REMOVE_BUFFERS = 32
export const IORING_OP_TEE = 33
export const IORING_OP_SHUTDOWN = 34
export const IORING_OP_RENAMEAT = 35
export const IORING_OP_UNLINKAT = 36
export const IORING_OP_MKDIRAT = 37
export const IORING_OP_SYMLINKAT = 38
export const IORING_OP_LINKAT = 39
export const IORING_OP_MSG_RING = 40
export const IORING_OP_FSETXATTR = 41
export const IORING_OP_SETXATTR = 42
export const IORING_OP_FGETXATTR = 43
export const IORING_OP_GETXATTR = 44
export const IORING_OP_SOCKET = 45
export const IORING_OP_URING_CMD = 46
export const IORING_OP_SEND_ZC = 47
export const IORING_OP_SENDMSG_ZC = 48
export const IORING_OP_READ_MULTISHOT = 49
export const IORING_OP_WAITID = 50
export const IORING_OP_FUTEX_WAIT = 51
export const IORING_OP_FUTEX_WAKE = 52
export const IORING_OP_FUTEX_WAITV = 53
export const IORING_OP_FIXED_FD_INSTALL = 54
export const IORING_OP_FTRUNCATE = 55
export const IORING_OP_BIND = 56
export const IORING_OP_LISTEN = 57

// sqe->flags
export const IOSQE_FIXED_FILE: number = 1 << 0
export const IOSQE_IO_DRAIN: number = 1 << 1
export const IOSQE_IO_LINK: number = 1 << 2
export const IOSQE_IO_HARDLINK: number = 1 << 3
export const IOSQE_ASYNC: number = 1 << 4
export const IOSQE_BUFFER_SELECT: number = 1 << 5
export const IOSQE_CQE_SKIP_SUCCESS: number = 1 << 6

// io_uring_setup() flags
export const IORING_SETUP_IOPOLL: number = 1 << 0
export const IORING_SETUP_SQPOLL: number = 1 << 1
export const IORING_SETUP_CQSIZE: number = 1 << 3
export const IORING_SETUP_CLAMP: number = 1 << 4
export const IORING_SETUP_SUBMIT_ALL: number = 1 << 7
export const IORING_SETUP_COOP_TASKRUN: number = 1 << 8
export const IORING_SETUP_TASKRUN_FLAG: number = 1 << 9
export const IORING_SETUP_SINGLE_ISSUER: number = 1 << 12
export const IORING_SETUP_DEFER_TASKRUN: number = 1 << 13
export const IORING_SETUP_NO_SQARRAY: number = 1 << 16

// io_uring_params.features
export const IORING_FEAT_SINGLE_MMAP: number = 1 << 0
export const IORING_FEAT_NODROP: number = 1 << 1
export const IORING_FEAT_EXT_ARG: number = 1 << 8
export const IORING_FEAT_RECVSEND_BUNDLE: number = 1 << 14
export const IORING_FEAT_NO_IOWAIT: number = 1 << 17

// io_uring_enter() flags
export const IORING_ENTER_GETEVENTS: number = 1 << 0
export const IORING_ENTER_EXT_ARG: number = 1 << 3
export const IORING_ENTER_REGISTERED_RING: number = 1 << 4
export const IORING_ENTER_NO_IOWAIT: number = 1 << 7

// sq_ring flags
export const IORING_SQ_CQ_OVERFLOW: number = 1 << 1
export const IORING_SQ_TASKRUN: number = 1 << 2

// cqe->flags
export const IORING_CQE_F_BUFFER: number = 1 << 0
export const IORING_CQE_F_MORE: number = 1 << 1
export const IORING_CQE_F_SOCK_NONEMPTY: number = 1 << 2
export const IORING_CQE_F_NOTIF: number = 1 << 3
export const IORING_CQE_F_BUF_MORE: number = 1 << 4
export const IORING_CQE_BUFFER_SHIFT = 16

// mmap() offsets
export const IORING_OFF_SQ_RING = 0
export const IORING_OFF_SQES = 0x10000000

// io_uring_register() opcodes
export const IORING_REGISTER_BUFFERS = 0
export const IORING_UNREGISTER_BUFFERS = 1
export const IORING_REGISTER_FILES = 2
export const IORING_UNREGISTER_FILES = 3
export const IORING_REGISTER_FILES_UPDATE = 6
export const IORING_REGISTER_PROBE = 8
export const IORING_REGISTER_FILES2 = 13
export const IORING_REGISTER_BUFFERS2 = 15
export const IORING_REGISTER_IOWQ_MAX_WORKERS = 19
export const IORING_REGISTER_RING_FDS = 20
export const IORING_UNREGISTER_RING_FDS = 21
export const IORING_REGISTER_PBUF_RING = 22
export const IORING_UNREGISTER_PBUF_RING = 23
export const IORING_REGISTER_SYNC_CANCEL = 24
export const IORING_RSRC_REGISTER_SPARSE: number = 1 << 0
export const IO_URING_OP_SUPPORTED: number = 1 << 0

// fsync, timeout, poll, cancel, accept, recv and send flags
export const IORING_FSYNC_DATASYNC: number = 1 << 0
export const IORING_TIMEOUT_ABS: number = 1 << 0
export const IORING_TIMEOUT_UPDATE: number = 1 << 1
export const IORING_TIMEOUT_MULTISHOT: number = 1 << 6
export const IORING_POLL_ADD_MULTI: number = 1 << 0
export const IORING_ASYNC_CANCEL_ALL: number = 1 << 0
export const IORING_ASYNC_CANCEL_FD: number = 1 << 1
export const IORING_ASYNC_CANCEL_ANY: number = 1 << 2
export const IORING_ACCEPT_MULTISHOT: number = 1 << 0
export const IORING_RECVSEND_POLL_FIRST: number = 1 << 0
export const IORING_RECV_MULTISHOT: number = 1 << 1
/** A flag of a ring of buffers: they are filled piece by piece. */
export const IOU_PBUF_RING_INC = 2
export const IORING_RECVSEND_BUNDLE: number = 1 << 4
export const IORING_MSG_DATA = 0

// poll(2)
export const POLLIN = 0x001
export const POLLOUT = 0x004
export const POLLERR = 0x008
export const POLLHUP = 0x010

// open(2); O_DIRECT and O_DIRECTORY differ on arm64.
const IS_ARM64: boolean = process.arch === 'arm64'
export const O_RDONLY = 0
export const O_WRONLY = 1
/** The bits that say whether a file is read, written, or both. */
export const O_ACCMODE = 3
export const O_RDWR = 2
export const O_CREAT = 0o100
export const O_EXCL = 0o200
export const O_TRUNC = 0o1000
export const O_APPEND = 0o2000
export const O_NONBLOCK = 0o4000
export const O_DIRECT: number = IS_ARM64 ? 0o200000 : 0o40000
export const O_DIRECTORY: number = IS_ARM64 ? 0o40000 : 0o200000
export const O_TMPFILE: number = 0o20000000 | O_DIRECTORY
export const O_NOFOLLOW: number = IS_ARM64 ? 0o100000 : 0o400000
export const O_PATH = 0o10000000
export const O_DSYNC = 0o10000
export const O_SYNC = 0o4010000
export const O_NOATIME = 0o1000000
export const O_CLOEXEC = 0o2000000
export const AT_FDCWD = -100
export const AT_REMOVEDIR = 0x200
export const AT_SYMLINK_NOFOLLOW = 0x100
export const AT_EMPTY_PATH = 0x1000
export const AT_SYMLINK_FOLLOW = 0x400
export const RENAME_NOREPLACE = 1
export const FALLOC_FL_KEEP_SIZE = 1
export const FALLOC_FL_PUNCH_HOLE = 2
export const FALLOC_FL_COLLAPSE_RANGE = 8
export const FALLOC_FL_ZERO_RANGE = 0x10
export const FALLOC_FL_INSERT_RANGE = 0x20
// flock(2)
export const LOCK_SH = 1
export const LOCK_EX = 2
export const LOCK_NB = 4
export const LOCK_UN = 8
export const F_GETFD = 1
export const F_DUPFD_CLOEXEC = 1030
export const F_GETFL = 3
export const F_SETFL = 4

export const SPLICE_F_FD_IN_FIXED: number = 2 ** 31

// statx(2)
export const STATX_TYPE = 0x1
export const STATX_INO = 0x100
export const STATX_BASIC_STATS = 0x7ff
export const STATX_BTIME = 0x800
export const STATX_DIOALIGN = 0x2000
export const STATX_BYTES = 256
export const S_IFMT = 0o170000
export const S_IFREG = 0o100000
export const S_IFDIR = 0o040000
export const S_IFIFO = 0o010000
export const S_IFCHR = 0o020000
export const S_IFBLK = 0o060000

// sockets
export const AF_UNIX = 1
export const AF_INET = 2
export const AF_INET6 = 10
export const SOCK_STREAM = 1
export const SOCK_DGRAM = 2
export const SOCK_NONBLOCK = 0o4000
export const SOCK_CLOEXEC = 0o2000000
export const SOL_SOCKET = 1
export const SO_REUSEADDR = 2
export const SO_ERROR = 4
export const SO_BROADCAST = 6
export const SO_SNDBUF = 7
export const SO_RCVBUF = 8
export const SO_KEEPALIVE = 9
export const SO_LINGER = 13
export const SO_REUSEPORT = 15
export const SO_TYPE = 3
export const SO_ACCEPTCONN = 30
export const SO_DOMAIN = 39
/** Control data of a message: descriptors. */
export const SCM_RIGHTS = 1
export const SO_MEMINFO = 55
/** ABI: of its words, how many datagrams were dropped. */
export const SK_MEMINFO_DROPS = 8
export const IPPROTO_IP = 0
export const IP_TTL = 2
export const IP_MULTICAST_IF = 32
export const IP_MULTICAST_TTL = 33
export const IP_MULTICAST_LOOP = 34
export const IP_ADD_MEMBERSHIP = 35
export const IP_DROP_MEMBERSHIP = 36
export const SOL_UDP = 17
/** Control data of a send, too: how long each datagram of it is. */
export const UDP_SEGMENT = 103
/** Control data of a receive, too. */
export const UDP_GRO = 104
export const IPPROTO_TCP = 6
export const TCP_NODELAY = 1
export const TCP_KEEPIDLE = 4
export const IPPROTO_IPV6 = 41
export const IPV6_UNICAST_HOPS = 16
export const IPV6_MULTICAST_IF = 17
export const IPV6_MULTICAST_HOPS = 18
export const IPV6_MULTICAST_LOOP = 19
export const IPV6_JOIN_GROUP = 20
export const IPV6_LEAVE_GROUP = 21
export const IPV6_V6ONLY = 26
export const MSG_PEEK = 0x02
export const MSG_TRUNC = 0x20
export const MSG_WAITALL = 0x100
/** ABI: struct ucred: process, user, group. */
export const SO_PEERCRED = 17
export const MSG_DONTWAIT = 0x40
export const MSG_NOSIGNAL = 0x4000
export const SHUT_RD = 0
export const SHUT_WR = 1
export const SHUT_RDWR = 2

// clocks, limits, madvise
export const CLOCK_REALTIME = 0
export const RLIMIT_NOFILE = 7
export const RLIMIT_MEMLOCK = 8
export const MADV_DONTFORK = 10
export const MADV_HUGEPAGE = 14

// set_mempolicy: modes
export const MPOL_DEFAULT = 0
export const MPOL_PREFERRED = 1
export const MPOL_BIND = 2
export const MPOL_INTERLEAVE = 3
