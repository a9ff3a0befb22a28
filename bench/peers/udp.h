/* What the UDP programs share: many datagrams in one call. */
#ifndef PERCORE_PEERS_UDP_H
#define PERCORE_PEERS_UDP_H

#include "net.h"

#include <stdint.h>
#include <time.h>

enum { BATCH = 32, DATAGRAM_BYTES = 2048, BUFFER_BYTES = 1 << 20 };

struct batch {
  struct mmsghdr messages[BATCH];
  struct iovec vectors[BATCH];
  struct sockaddr_in names[BATCH];
  char data[BATCH][DATAGRAM_BYTES];
};

static inline double now_seconds(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Prepares so many messages of so many bytes, with names if they are told apart by that. */
static inline void prepare(struct batch *batch, int count, size_t length, int with_names) {
  for (int index = 0; index < count; index++) {
    batch->vectors[index] = (struct iovec){batch->data[index], length};
    struct msghdr *header = &batch->messages[index].msg_hdr;
    memset(header, 0, sizeof *header);
    header->msg_iov = &batch->vectors[index];
    header->msg_iovlen = 1;
    if (!with_names) continue;
    header->msg_name = &batch->names[index];
    header->msg_namelen = sizeof batch->names[index];
  }
}

/* A socket at a free port of 127.0.0.1, whose number is printed if asked for. */
static inline int open_udp(int prints_port) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("open a socket");
  int bytes = BUFFER_BYTES;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(fd, (struct sockaddr *)&address, length) < 0) die("bind");
  if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) die("read the port");
  if (!prints_port) return fd;
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

static inline void connect_udp(int fd, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
}

#endif
