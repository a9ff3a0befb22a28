/* The part of io_uring's ABI that C itself needs; the distribution's header may be older than it. */
#ifndef PERCORE_URING_H
#define PERCORE_URING_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTER_GETEVENTS (1u << 0)
#define ENTER_EXT_ARG (1u << 3)
#define ENTER_REGISTERED_RING (1u << 4)

#define SQ_CQ_OVERFLOW (1u << 1)
#define SQ_TASKRUN (1u << 2)

#define IORING_OFF_SQ_RING 0
#define IORING_OFF_SQES 0x10000000

#define UNREGISTER_RING_FDS 21

#define OP_MSG_RING 40
#define OP_ASYNC_CANCEL 14
#define CANCEL_ALL (1u << 0)
#define CANCEL_ANY (1u << 2)

#define CQE_F_MORE (1u << 1)

struct enter_timespec {
  int64_t seconds;
  int64_t nanoseconds;
};

struct enter_argument {
  uint64_t signal_mask;
  uint32_t signal_mask_bytes;
  uint32_t min_wait_us;
  uint64_t timespec;
};

struct ring_update {
  uint32_t offset;
  uint32_t reserved;
  uint64_t data;
};

/* ABI: struct __kernel_timespec, io_uring_getevents_arg and io_uring_rsrc_update. */
_Static_assert(sizeof(struct enter_timespec) == 16, "a time is two numbers of 64 bits");
_Static_assert(sizeof(struct enter_argument) == 24, "the kernel takes an argument of this size alone");
_Static_assert(offsetof(struct enter_argument, timespec) == 16, "where the kernel looks for the time limit");
_Static_assert(sizeof(struct ring_update) == 16, "what registers a ring is of this size");

/* io_uring_enter(2); a timeout below zero waits for ever. Returns the count consumed or -errno. */
static inline long uring_enter(int fd, uint32_t submit_count, uint32_t wait_count, uint32_t flags,
                               double timeout_ns) {
  struct enter_timespec timespec;
  struct enter_argument argument = {0, 0, 0, 0};
  void *pointer = NULL;
  size_t size = 0;
  if (wait_count > 0 && timeout_ns >= 0) {
    timespec.seconds = (int64_t)(timeout_ns / 1e9);
    timespec.nanoseconds = (int64_t)(timeout_ns - (double)timespec.seconds * 1e9);
    argument.timespec = (uint64_t)(uintptr_t)&timespec;
    pointer = &argument;
    size = sizeof argument;
    flags |= ENTER_EXT_ARG;
  }
  long result = syscall(__NR_io_uring_enter, fd, submit_count, wait_count, flags, pointer, size);
  return result < 0 ? -errno : result;
}

/* Busy, full, interrupted or too late, if it failed at all: asking again may do. */
static inline bool may_retry(long result) {
  return result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY || result == -EAGAIN;
}

#endif
