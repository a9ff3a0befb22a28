/*
 * What the echo programs share: limits, sockets, and the rule by which a server ends.
 */
#ifndef PERCORE_PEERS_NET_H
#define PERCORE_PEERS_NET_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PERCORE_PEERS_URING_H
static inline void die(const char *what) {
  fprintf(stderr, "Cannot %s: %s\n", what, strerror(errno));
  exit(1);
}
#endif

/* Takes as many descriptors as allowed: beyond the hard limit when privileged, else up to it. */
static inline void raise_descriptor_limit(void) {
  struct rlimit limit = {65536, 65536};
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) die("read the descriptor limit");
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

static inline void set_no_delay(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static inline void *wait_for_end_of_stdin(void *unused) {
  (void)unused;
  char byte[256];
  while (read(0, byte, sizeof byte) > 0) {
  }
  _exit(0);
}

/*
 * Ends the process when stdin closes, so that a server never outlives the harness.
 *
 * A thread of its own, since the echo loop should not pay for it; it sleeps in read(2) throughout.
 */
static inline void exit_when_stdin_closes(void) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  if (pthread_create(&thread, &attributes, wait_for_end_of_stdin, NULL) != 0) die("start a thread");
}

/* Listens on a free port of 127.0.0.1 and prints it, alone on a line. */
static inline int listen_and_print_port(int type_flags) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | type_flags, 0);
  if (fd < 0) die("open a socket");
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(fd, (struct sockaddr *)&address, length) < 0) die("bind");
  if (listen(fd, 4096) < 0) die("listen");
  if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) die("read the port");
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

#endif
