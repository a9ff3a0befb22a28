/*
 * echo-uring: a TCP echo server on one thread with io_uring.
 *
 * Multishot accept and receive, a ring of provided buffers, and each received buffer sent as it is:
 * per request two completions, one entry and a share of one enter. Prints its port; ends on SIGTERM
 * or when stdin closes.
 */
#include "uring.h"

#include "net.h"

#include <signal.h>

enum { ENTRIES = 1024, CQ_ENTRIES = 16384, FD_COUNT_MAX = 65536 };
enum { BUFFER_COUNT = 1024, BUFFER_BYTES = 16 * 1024, BUFFER_GROUP = 1, NONE = -1 };
enum kind { KIND_ACCEPT, KIND_RECEIVE, KIND_SEND };

/*
 * Received buffers wait their turn in a list, since two sends under way on one socket could
 * interleave; the head is being sent.
 */
struct connection {
  int head, tail;       /* Buffer identifiers, or NONE. */
  int receiving;        /* Whether a multishot receive is armed. */
  int starved;          /* Whether it waits in `starved_fds` for a buffer. */
  int closing;          /* End of stream seen: close once everything has been sent. */
};

static struct ring ring;
static struct connection connections[FD_COUNT_MAX];
static struct { uint32_t length, sent; int next; } buffers[BUFFER_COUNT];
static char *memory;
static struct ring_buffer *buffer_ring;
static uint16_t buffer_tail;
static int starved_fds[FD_COUNT_MAX];
static int starved_count;

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
  connections[fd].receiving = 1;
  *ring_next(&ring) = (struct sqe){.opcode = IORING_OP_RECV,
                                   .fd = fd,
                                   .ioprio = IORING_RECV_MULTISHOT,
                                   .flags = IOSQE_BUFFER_SELECT,
                                   .buffer_group = BUFFER_GROUP,
                                   .user_data = pack(KIND_RECEIVE, fd)};
}

static void arm_send(int fd) {
  int id = connections[fd].head;
  *ring_next(&ring) = (struct sqe){
      .opcode = IORING_OP_SEND,
      .fd = fd,
      .address = (uint64_t)(uintptr_t)(memory + (size_t)id * BUFFER_BYTES + buffers[id].sent),
      .length = buffers[id].length - buffers[id].sent,
      .op_flags = MSG_NOSIGNAL | MSG_WAITALL,
      .user_data = pack(KIND_SEND, fd)};
}

/* Gives a buffer back; the tail is published by publish_buffers, once per turn. */
static void recycle(int id) {
  struct ring_buffer *slot = &buffer_ring[buffer_tail++ & (BUFFER_COUNT - 1)];
  slot->address = (uint64_t)(uintptr_t)(memory + (size_t)id * BUFFER_BYTES);
  slot->length = BUFFER_BYTES;
  slot->id = (uint16_t)id;
}

static void publish_buffers(void) {
  atomic_store_explicit((_Atomic uint16_t *)&buffer_ring[0].tail, buffer_tail,
                        memory_order_release);
}

static void open_buffers(int ring_fd) {
  size_t ring_bytes = BUFFER_COUNT * sizeof(struct ring_buffer);
  buffer_ring = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memory = mmap(NULL, (size_t)BUFFER_COUNT * BUFFER_BYTES, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (buffer_ring == MAP_FAILED || memory == MAP_FAILED) die("map the buffers");
  struct ring_buffer_registration registration = {
      .address = (uint64_t)(uintptr_t)buffer_ring, .entries = BUFFER_COUNT, .group = BUFFER_GROUP};
  /* The registered index serves enter only here, as register would need a flag (6.3) for it. */
  if (ring_register(ring_fd, IORING_REGISTER_PBUF_RING, &registration, 1) < 0) {
    die("register the buffer ring");
  }
  for (int id = 0; id < BUFFER_COUNT; id++) recycle(id);
  publish_buffers();
}

static void close_if_done(int fd) {
  struct connection *connection = &connections[fd];
  if (connection->closing && connection->head == NONE && !connection->receiving) close(fd);
}

static void on_accept(int listener, struct cqe *cqe) {
  if (!(cqe->flags & IORING_CQE_F_MORE)) arm_accept(listener);
  int fd = cqe->result;
  if (fd < 0) return;
  if (fd >= FD_COUNT_MAX) {
    close(fd);
    return;
  }
  set_no_delay(fd);
  connections[fd] = (struct connection){.head = NONE, .tail = NONE};
  arm_receive(fd);
}

static void on_receive(int fd, struct cqe *cqe) {
  struct connection *connection = &connections[fd];
  if (!(cqe->flags & IORING_CQE_F_MORE)) connection->receiving = 0;
  if (cqe->result == -ENOBUFS) {
    if (!connection->starved) starved_fds[starved_count++] = fd;
    connection->starved = 1;
    return;
  }
  int id = cqe->flags & IORING_CQE_F_BUFFER ? (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT) : NONE;
  if (cqe->result <= 0) {
    if (id != NONE) recycle(id);
    connection->closing = 1;
    close_if_done(fd);
    return;
  }
  buffers[id].length = (uint32_t)cqe->result;
  buffers[id].sent = 0;
  buffers[id].next = NONE;
  if (connection->head == NONE) {
    connection->head = connection->tail = id;
    arm_send(fd);
  } else {
    buffers[connection->tail].next = id;
    connection->tail = id;
  }
  if (!connection->receiving) arm_receive(fd);
}

static void on_send(int fd, struct cqe *cqe) {
  struct connection *connection = &connections[fd];
  int id = connection->head;
  if (cqe->result > 0 && (buffers[id].sent += (uint32_t)cqe->result) < buffers[id].length) {
    arm_send(fd);
    return;
  }
  if (cqe->result <= 0) {
    /* The peer has gone: drop what it will not read; the receive ends by itself. */
    for (; id != NONE; id = buffers[id].next) recycle(id);
    connection->head = connection->tail = NONE;
    shutdown(fd, SHUT_RDWR);
  } else {
    connection->head = buffers[id].next;
    recycle(id);
    if (connection->head != NONE) arm_send(fd);
  }
  close_if_done(fd);
}

static void feed_starved(void) {
  int count = starved_count;
  starved_count = 0;
  for (int index = 0; index < count; index++) {
    connections[starved_fds[index]].starved = 0;
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
    }
  }
  atomic_store_explicit(ring.cq_head, head, memory_order_release);
}

int main(int argc, char **argv) {
  /* Spinning it asks without waiting, again and again. */
  uint32_t wait_count = argc > 1 && strcmp(argv[1], "spin") == 0 ? 0 : 1;
  signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  ring_open(&ring, ENTRIES, CQ_ENTRIES);
  open_buffers(ring.descriptor);
  int listener = listen_and_print_port(0);
  exit_when_stdin_closes();
  arm_accept(listener);
  for (;;) {
    ring_enter(&ring, wait_count);
    uint16_t before = buffer_tail;
    reap();
    if (buffer_tail != before) {
      publish_buffers();
      if (starved_count > 0) feed_starved();
    }
  }
}
