/*
 * The part of the io_uring ABI the peers use, and a ring on raw system calls.
 *
 * Our own constants, since the distribution's linux/io_uring.h is of Linux 6.1 and lacks
 * IORING_SETUP_NO_SQARRAY; no liburing, so that a peer is exactly the C one can read here.
 */
#ifndef PERCORE_PEERS_URING_H
#define PERCORE_PEERS_URING_H

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ABI: include/uapi/linux/io_uring.h, Linux 6.6. */
enum {
  IORING_SETUP_CQSIZE = 1 << 3,
  IORING_SETUP_SUBMIT_ALL = 1 << 7,
  IORING_SETUP_SINGLE_ISSUER = 1 << 12,
  IORING_SETUP_DEFER_TASKRUN = 1 << 13,
  IORING_SETUP_NO_SQARRAY = 1 << 16,

  IORING_ENTER_GETEVENTS = 1 << 0,
  IORING_ENTER_REGISTERED_RING = 1 << 4,

  IORING_REGISTER_RING_FDS = 20,
  IORING_REGISTER_PBUF_RING = 22,

  IORING_OP_NOP = 0,
  IORING_OP_SENDMSG = 9,
  IORING_OP_ACCEPT = 13,
  IORING_OP_ASYNC_CANCEL = 14,
  IORING_OP_SEND = 26,
  IORING_OP_RECV = 27,

  IOSQE_BUFFER_SELECT = 1 << 5,
  IORING_ACCEPT_MULTISHOT = 1 << 0,
  IORING_RECV_MULTISHOT = 1 << 1,

  IORING_CQE_F_BUFFER = 1 << 0,
  IORING_CQE_F_MORE = 1 << 1,
  IORING_CQE_BUFFER_SHIFT = 16,
};

#define IORING_OFF_SQ_RING 0ULL
#define IORING_OFF_CQ_RING 0x8000000ULL
#define IORING_OFF_SQES 0x10000000ULL

/* ABI: struct io_uring_sqe, 64 bytes. */
struct sqe {
  uint8_t opcode;
  uint8_t flags;
  uint16_t ioprio;
  int32_t fd;
  uint64_t offset;
  uint64_t address;
  uint32_t length;
  uint32_t op_flags;
  uint64_t user_data;
  uint16_t buffer_group;
  uint16_t personality;
  int32_t file_index;
  uint64_t address3;
  uint64_t pad;
};
_Static_assert(sizeof(struct sqe) == 64, "an entry is 64 bytes");

/* ABI: struct io_uring_cqe, 16 bytes. */
struct cqe {
  uint64_t user_data;
  int32_t result;
  uint32_t flags;
};

/* ABI: struct io_uring_params, 120 bytes. */
struct ring_params {
  uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd, resv[3];
  struct {
    uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, resv1;
    uint64_t user_address;
  } sq;
  struct {
    uint32_t head, tail, ring_mask, ring_entries, overflow, cqes, flags, resv1;
    uint64_t user_address;
  } cq;
};
_Static_assert(sizeof(struct ring_params) == 120, "the parameters are 120 bytes");

/* ABI: struct io_uring_buf and struct io_uring_buf_reg. */
struct ring_buffer {
  uint64_t address;
  uint32_t length;
  uint16_t id;
  uint16_t tail; /* In entry 0 this field is the ring's tail. */
};
struct ring_buffer_registration {
  uint64_t address;
  uint32_t entries;
  uint16_t group;
  uint16_t flags;
  uint64_t resv[3];
};

/* ABI: struct io_uring_rsrc_update. */
struct resource_update {
  uint32_t offset, resv;
  uint64_t data;
};

struct ring {
  int descriptor;       /* What register takes. */
  int fd;               /* What enter takes: the registered index, or the descriptor. */
  uint32_t enter_flags; /* IORING_ENTER_REGISTERED_RING when fd is an index. */
  struct sqe *sqes;
  struct cqe *cqes;
  _Atomic uint32_t *sq_head, *sq_tail, *cq_head, *cq_tail;
  uint32_t sq_mask, cq_mask;
  uint32_t sq_entries;
  uint32_t sq_local;     /* Entries written, published by ring_enter. */
  uint32_t sq_submitted; /* Entries the kernel has been told of. */
};

static inline void die(const char *what) {
  fprintf(stderr, "Cannot %s: %s\n", what, strerror(errno));
  exit(1);
}

static inline int ring_register(int fd, unsigned opcode, void *argument, unsigned count) {
  return (int)syscall(SYS_io_uring_register, fd, opcode, argument, count);
}

/*
 * Sets a ring up the way a thread-per-core runtime would: one issuer, task work only inside enter,
 * no index array where the kernel can do without (6.6), and the descriptor registered.
 */
static inline void ring_open(struct ring *ring, uint32_t entries, uint32_t cq_entries) {
  struct ring_params params;
  uint32_t base = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                  IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
  uint32_t optional = IORING_SETUP_NO_SQARRAY;
  int fd;
  for (;;) {
    memset(&params, 0, sizeof params);
    params.flags = base | optional;
    params.cq_entries = cq_entries;
    fd = (int)syscall(SYS_io_uring_setup, entries, &params);
    if (fd >= 0) break;
    if (errno != EINVAL || optional == 0) die("set up a ring");
    optional = 0;
  }

  /* IORING_FEAT_SINGLE_MMAP (5.4): both rings live in one mapping. */
  size_t sq_bytes = params.sq.array + params.sq_entries * sizeof(uint32_t);
  size_t cq_bytes = params.cq.cqes + params.cq_entries * sizeof(struct cqe);
  size_t ring_bytes = sq_bytes > cq_bytes ? sq_bytes : cq_bytes;
  char *rings = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
                     (off_t)IORING_OFF_SQ_RING);
  if (rings == MAP_FAILED) die("map a ring");
  ring->sqes = mmap(NULL, params.sq_entries * sizeof(struct sqe), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_POPULATE, fd, (off_t)IORING_OFF_SQES);
  if (ring->sqes == MAP_FAILED) die("map the submission entries");

  ring->sq_head = (_Atomic uint32_t *)(rings + params.sq.head);
  ring->sq_tail = (_Atomic uint32_t *)(rings + params.sq.tail);
  ring->cq_head = (_Atomic uint32_t *)(rings + params.cq.head);
  ring->cq_tail = (_Atomic uint32_t *)(rings + params.cq.tail);
  ring->cqes = (struct cqe *)(rings + params.cq.cqes);
  ring->sq_mask = params.sq_entries - 1;
  ring->cq_mask = params.cq_entries - 1;
  ring->sq_entries = params.sq_entries;
  ring->sq_local = ring->sq_submitted = 0;
  if (optional == 0) {
    uint32_t *array = (uint32_t *)(rings + params.sq.array);
    for (uint32_t index = 0; index < params.sq_entries; index++) array[index] = index;
  }

  ring->fd = ring->descriptor = fd;
  ring->enter_flags = 0;
  struct resource_update update = {.offset = UINT32_MAX, .data = (uint64_t)fd};
  if (ring_register(fd, IORING_REGISTER_RING_FDS, &update, 1) == 1) {
    ring->fd = (int)update.offset;
    ring->enter_flags = IORING_ENTER_REGISTERED_RING;
  }
}

/* Publishes what was written, submits it, and waits for `wait_count` completions. */
static inline void ring_enter(struct ring *ring, uint32_t wait_count) {
  /* A release suffices: the kernel reads the tail with an acquire inside the system call. */
  atomic_store_explicit(ring->sq_tail, ring->sq_local, memory_order_release);
  uint32_t count = ring->sq_local - ring->sq_submitted;
  long taken;
  do {
    taken = syscall(SYS_io_uring_enter, ring->fd, count, wait_count,
                    IORING_ENTER_GETEVENTS | ring->enter_flags, NULL, 0);
  } while (taken < 0 && errno == EINTR);
  if (taken < 0 && errno != EAGAIN && errno != EBUSY) die("enter a ring");
  if (taken > 0) ring->sq_submitted += (uint32_t)taken;
}

/* The next free entry, not cleared; flushes when the queue is full. */
static inline struct sqe *ring_next(struct ring *ring) {
  while (ring->sq_local - atomic_load_explicit(ring->sq_head, memory_order_acquire) >=
         ring->sq_entries) {
    ring_enter(ring, 0);
  }
  return &ring->sqes[ring->sq_local++ & ring->sq_mask];
}

#endif
