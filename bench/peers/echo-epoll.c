/*
 * echo-epoll: a TCP echo server on one thread with level-triggered epoll.
 *
 * Level-triggered, as one read per event then suffices: edge-triggered would need a second read
 * to see EAGAIN, a system call per request more. Prints its port; ends on SIGTERM or when stdin
 * closes.
 */
#include "net.h"

#include <signal.h>
#include <sys/epoll.h>

enum { EVENT_COUNT_MAX = 512, READ_BYTES = 64 * 1024, FD_COUNT_MAX = 65536 };

/* What a slow reader has not taken yet; exists only while a write was short. */
struct backlog {
  size_t length, sent;
  char bytes[];
};

static struct backlog *backlogs[FD_COUNT_MAX];
static char scratch[READ_BYTES];

static void watch(int epoll, int operation, int fd, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  if (epoll_ctl(epoll, operation, fd, &event) < 0) die("watch a socket");
}

static void drop(int fd) {
  free(backlogs[fd]);
  backlogs[fd] = NULL;
  close(fd);
}

static void accept_all(int epoll, int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EAGAIN) return;
      if (errno == ECONNABORTED || errno == EINTR) continue;
      die("accept");
    }
    if (fd >= FD_COUNT_MAX) {
      close(fd);
      continue;
    }
    set_no_delay(fd);
    watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
  }
}

/* Keeps the rest of a short write and stops reading until it has left: the peer sets the pace. */
static void keep(int epoll, int fd, const char *bytes, size_t length) {
  struct backlog *backlog = malloc(sizeof *backlog + length);
  if (!backlog) die("allocate a backlog");
  backlog->length = length;
  backlog->sent = 0;
  memcpy(backlog->bytes, bytes, length);
  backlogs[fd] = backlog;
  watch(epoll, EPOLL_CTL_MOD, fd, EPOLLOUT);
}

static void echo(int epoll, int fd) {
  ssize_t length = recv(fd, scratch, sizeof scratch, 0);
  if (length <= 0) {
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    drop(fd);
    return;
  }
  ssize_t sent = send(fd, scratch, (size_t)length, MSG_NOSIGNAL);
  if (sent == length) return;
  if (sent < 0) {
    if (errno != EAGAIN) {
      drop(fd);
      return;
    }
    sent = 0;
  }
  keep(epoll, fd, scratch + sent, (size_t)(length - sent));
}

static void flush_backlog(int epoll, int fd) {
  struct backlog *backlog = backlogs[fd];
  ssize_t sent = send(fd, backlog->bytes + backlog->sent, backlog->length - backlog->sent,
                      MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno != EAGAIN) drop(fd);
    return;
  }
  backlog->sent += (size_t)sent;
  if (backlog->sent < backlog->length) return;
  free(backlog);
  backlogs[fd] = NULL;
  watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) die("create an epoll");
  int listener = listen_and_print_port(SOCK_NONBLOCK);
  watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
  exit_when_stdin_closes();

  struct epoll_event events[EVENT_COUNT_MAX];
  for (;;) {
    int count = epoll_wait(epoll, events, EVENT_COUNT_MAX, -1);
    if (count < 0 && errno != EINTR) die("wait for events");
    for (int index = 0; index < count; index++) {
      int fd = events[index].data.fd;
      if (fd == listener) accept_all(epoll, listener);
      else if (backlogs[fd]) flush_backlog(epoll, fd);
      else echo(epoll, fd);
    }
  }
}
