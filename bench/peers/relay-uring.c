/*
 * relay-uring: passes what the second of each two connections sends on to the first, on one thread with io_uring.
 *
 * Multishot receive into provided buffers, and what waits in them sent by one vectored send at a time. A pair that holds
 * many buffers stops receiving until they are sent. Prints its port; ends when stdin closes.
 */
#include "uring.h"

#include "net.h"

#include <signal.h>

enum { ENTRIES = 1024, CQ_ENTRIES = 16384, FD_COUNT_MAX = 4096, BUFFER_GROUP = 1, NONE = -1 };
enum { BUFFER_COUNT = 256, PARTS_MAX = 16, HELD_MAX = 16 };
enum kind { KIND_ACCEPT, KIND_RECEIVE, KIND_SEND, KIND_CANCEL };

/* What one connection pours, by its descriptor. */
struct flow {
  int sink;
  int head, tail, held; /* Buffers with what is to be sent, and how many. */
  int receiving, stopping, starved, sending;
  struct msghdr message;
  struct iovec parts[PARTS_MAX];
};

static struct ring ring;
static struct flow flows[FD_COUNT_MAX];
static struct { uint32_t length, sent; int next; } buffers[BUFFER_COUNT];
static size_t buffer_bytes;
static char *memory;
static struct ring_buffer *buffer_ring;
static uint16_t buffer_tail;
static int starved_fds[FD_COUNT_MAX];
static int starved_count;
static int waiting_sink = NONE;

static uint64_t pack(enum kind kind, int fd) {
  return (uint64_t)kind << 32 | (uint32_t)fd;
}

static void arm_accept(int listener) {
  *ring_next(&ring) = (struct sqe){.opcode = IORING_OP_ACCEPT,
                                   .fd = listener,
                                   .ioprio = IORING_ACCEPT_MULTISHOT,
                                   .op_flags = SOCK_CLOEXEC,
                                   .user_data = pack(KIND_ACCEPT, listener)};
}

static void arm_receive(int fd) {
  flows[fd].receiving = 1;
  *ring_next(&ring) = (struct sqe){.opcode = IORING_OP_RECV,
                                   .fd = fd,
                                   .ioprio = IORING_RECV_MULTISHOT,
                                   .flags = IOSQE_BUFFER_SELECT,
                                   .buffer_group = BUFFER_GROUP,
                                   .user_data = pack(KIND_RECEIVE, fd)};
}

static void stop_receive(int fd) {
  flows[fd].stopping = 1;
  *ring_next(&ring) = (struct sqe){.opcode = IORING_OP_ASYNC_CANCEL,
                                   .fd = NONE,
                                   .address = pack(KIND_RECEIVE, fd),
                                   .user_data = pack(KIND_CANCEL, fd)};
}

/* Sends what waits, up to PARTS_MAX buffers. */
static void arm_send(int fd) {
  struct flow *flow = &flows[fd];
  size_t count = 0;
  for (int id = flow->head; id != NONE && count < PARTS_MAX; id = buffers[id].next) {
    flow->parts[count++] = (struct iovec){memory + (size_t)id * buffer_bytes + buffers[id].sent,
                                          buffers[id].length - buffers[id].sent};
  }
  flow->message = (struct msghdr){.msg_iov = flow->parts, .msg_iovlen = count};
  flow->sending = 1;
  *ring_next(&ring) = (struct sqe){.opcode = IORING_OP_SENDMSG,
                                   .fd = flow->sink,
                                   .address = (uint64_t)(uintptr_t)&flow->message,
                                   .length = 1,
                                   .op_flags = MSG_NOSIGNAL | MSG_WAITALL,
                                   .user_data = pack(KIND_SEND, fd)};
}

/* Gives a buffer back; the tail is published once per turn. */
static void recycle(int id) {
  struct ring_buffer *slot = &buffer_ring[buffer_tail++ & (BUFFER_COUNT - 1)];
  slot->address = (uint64_t)(uintptr_t)(memory + (size_t)id * buffer_bytes);
  slot->length = (uint32_t)buffer_bytes;
  slot->id = (uint16_t)id;
}

static void publish_buffers(void) {
  atomic_store_explicit((_Atomic uint16_t *)&buffer_ring[0].tail, buffer_tail,
                        memory_order_release);
}

static void open_buffers(int ring_fd) {
  size_t ring_bytes = BUFFER_COUNT * sizeof(struct ring_buffer);
  buffer_ring = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memory = mmap(NULL, (size_t)BUFFER_COUNT * buffer_bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (buffer_ring == MAP_FAILED || memory == MAP_FAILED) die("map the buffers");
  struct ring_buffer_registration registration = {
      .address = (uint64_t)(uintptr_t)buffer_ring, .entries = BUFFER_COUNT, .group = BUFFER_GROUP};
  if (ring_register(ring_fd, IORING_REGISTER_PBUF_RING, &registration, 1) < 0) {
    die("register the buffer ring");
  }
  for (int id = 0; id < BUFFER_COUNT; id++) recycle(id);
  publish_buffers();
}

static void on_accept(int listener, struct cqe *cqe) {
  if (!(cqe->flags & IORING_CQE_F_MORE)) arm_accept(listener);
  int fd = cqe->result;
  if (fd < 0 || fd >= FD_COUNT_MAX) exit(1);
  set_no_delay(fd);
  if (waiting_sink == NONE) {
    waiting_sink = fd;
    return;
  }
  flows[fd] = (struct flow){.sink = waiting_sink, .head = NONE, .tail = NONE};
  waiting_sink = NONE;
  arm_receive(fd);
}

static void close_pair(int fd) {
  struct flow *flow = &flows[fd];
  if (flow->sink == NONE) return;
  close(flow->sink);
  close(fd);
  flow->sink = NONE;
}

static void on_receive(int fd, struct cqe *cqe) {
  struct flow *flow = &flows[fd];
  if (!(cqe->flags & IORING_CQE_F_MORE)) flow->receiving = flow->stopping = 0;
  if (cqe->result == -ENOBUFS) {
    if (!flow->starved) starved_fds[starved_count++] = fd;
    flow->starved = 1;
    return;
  }
  if (cqe->result == -ECANCELED) return;
  if (cqe->result <= 0) {
    close_pair(fd);
    return;
  }
  int id = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
  buffers[id].length = (uint32_t)cqe->result;
  buffers[id].sent = 0;
  buffers[id].next = NONE;
  if (flow->head == NONE) flow->head = id;
  else buffers[flow->tail].next = id;
  flow->tail = id;
  flow->held++;
  if (!flow->sending) arm_send(fd);
  if (flow->held >= HELD_MAX && flow->receiving && !flow->stopping) stop_receive(fd);
  else if (!flow->receiving && flow->held < HELD_MAX) arm_receive(fd);
}

static void on_send(int fd, struct cqe *cqe) {
  struct flow *flow = &flows[fd];
  flow->sending = 0;
  if (cqe->result <= 0) {
    close_pair(fd);
    return;
  }
  for (uint32_t sent = (uint32_t)cqe->result; sent > 0;) {
    int id = flow->head;
    uint32_t left = buffers[id].length - buffers[id].sent;
    uint32_t part = sent < left ? sent : left;
    sent -= part;
    buffers[id].sent += part;
    if (part < left) break;
    flow->head = buffers[id].next;
    flow->held--;
    recycle(id);
  }
  if (flow->head != NONE) arm_send(fd);
  if (!flow->receiving && !flow->starved && flow->held < HELD_MAX / 2) arm_receive(fd);
}

static void feed_starved(void) {
  int count = starved_count;
  starved_count = 0;
  for (int index = 0; index < count; index++) {
    flows[starved_fds[index]].starved = 0;
    arm_receive(starved_fds[index]);
  }
}

static void reap(void) {
  uint32_t head = atomic_load_explicit(ring.cq_head, memory_order_relaxed);
  uint32_t tail = atomic_load_explicit(ring.cq_tail, memory_order_acquire);
  for (; head != tail; head++) {
    /* A copy, since a handler may flush a full queue, and the kernel then reuse the slot. */
    struct cqe cqe = ring.cqes[head & ring.cq_mask];
    int fd = (int)(uint32_t)cqe.user_data;
    switch ((enum kind)(cqe.user_data >> 32)) {
      case KIND_ACCEPT: on_accept(fd, &cqe); break;
      case KIND_RECEIVE: on_receive(fd, &cqe); break;
      case KIND_SEND: on_send(fd, &cqe); break;
      case KIND_CANCEL: break;
    }
  }
  atomic_store_explicit(ring.cq_head, head, memory_order_release);
}

int main(int argc, char **argv) {
  buffer_bytes = (argc > 1 ? (size_t)atoi(argv[1]) : 64) * 1024;
  signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  ring_open(&ring, ENTRIES, CQ_ENTRIES);
  open_buffers(ring.descriptor);
  int listener = listen_and_print_port(0);
  exit_when_stdin_closes();
  arm_accept(listener);
  for (;;) {
    ring_enter(&ring, 1);
    uint16_t before = buffer_tail;
    reap();
    if (buffer_tail != before) {
      publish_buffers();
      if (starved_count > 0) feed_starved();
    }
  }
}
