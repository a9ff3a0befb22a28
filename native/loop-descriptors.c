/*
 * The descriptors that a loop closes with its environment.
 *
 * A thread may be terminated between any two calls, so that what makes or closes a descriptor and what
 * tracks it are one.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"

/** loopTrackFd(loop, fd, tracked: 0 | 1): void — whether to close `fd` with the environment. */
static napi_value loop_track_fd(napi_env env, napi_callback_info info) {
  ARGS(3);
  struct loop *loop = arg_loop(env, argv[0]);
  if (loop) descriptors_set(&loop->tracked, arg_u32(env, argv[1]), arg_i32(env, argv[2]) != 0);
  return NULL;
}

/**
 * loopSetupRing(loop, entryCount, params: Uint32Array): number
 *
 * ringSetup and loopTrackFd in one, since a thread may be terminated between two calls; loopAddRing takes
 * the descriptor over. The descriptor or -errno.
 */
static napi_value loop_setup_ring(napi_env env, napi_callback_info info) {
  ARGS(3);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return result_i32(env, -ECANCELED);
  long fd = syscall(__NR_io_uring_setup, arg_u32(env, argv[1]), arg_view(env, argv[2], NULL));
  int status = errno;
  if (fd < 0) return result_i32(env, -status);
  descriptors_set(&loop->tracked, (uint32_t)fd, true);
  return result_i32(env, (int32_t)fd);
}

/**
 * loopOpenSocket(loop, domain, type, protocol): number
 *
 * socket(2) and loopTrackFd in one, for the same reason. The descriptor or -errno.
 */
static napi_value loop_open_socket(napi_env env, napi_callback_info info) {
  ARGS(4);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return result_i32(env, -ECANCELED);
  int fd = socket(arg_i32(env, argv[1]), arg_i32(env, argv[2]) | SOCK_CLOEXEC, arg_i32(env, argv[3]));
  int status = errno;
  if (fd < 0) return result_i32(env, -status);
  descriptors_set(&loop->tracked, (uint32_t)fd, true);
  return result_i32(env, fd);
}

/**
 * loopOpenSocketPair(loop, domain, type, fds: Int32Array): number
 *
 * socketpair(2) and loopTrackFd of both in one, for the same reason. 0 or -errno.
 */
static napi_value loop_open_socket_pair(napi_env env, napi_callback_info info) {
  ARGS(4);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return result_i32(env, -ECANCELED);
  int *fds = arg_view(env, argv[3], NULL);
  int pair[2];
  if (socketpair(arg_i32(env, argv[1]), arg_i32(env, argv[2]) | SOCK_CLOEXEC, 0, pair) < 0)
    return result_i32(env, -errno);
  for (int end = 0; end < 2; end++) {
    descriptors_set(&loop->tracked, (uint32_t)pair[end], true);
    fds[end] = pair[end];
  }
  return result_i32(env, 0);
}

/**
 * loopDuplicateFd(loop, fd): number
 *
 * fcntl(2) with F_DUPFD_CLOEXEC and loopTrackFd in one, for the same reason. The descriptor or -errno.
 */
static napi_value loop_duplicate_fd(napi_env env, napi_callback_info info) {
  ARGS(2);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return result_i32(env, -ECANCELED);
  int fd = fcntl(arg_i32(env, argv[1]), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return result_i32(env, -errno);
  descriptors_set(&loop->tracked, (uint32_t)fd, true);
  return result_i32(env, fd);
}

/**
 * loopReceiveRights(loop, fd, data: Uint8Array, rights: Int32Array): number
 *
 * recvmsg(2) that never waits, and loopTrackFd of the descriptors that came, in one for the same reason. Bytes or
 * -errno; how many descriptors came is rights[0], whether some did not is rights[1], and they follow: at most as many
 * as there is room for, and 253, which is the kernel's limit.
 */
static napi_value loop_receive_rights(napi_env env, napi_callback_info info) {
  ARGS(4);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return result_i32(env, -ECANCELED);
  enum { HEAD = 2, RIGHTS_MAX = 253 };
  size_t rights_bytes;
  struct iovec data;
  data.iov_base = arg_view(env, argv[2], &data.iov_len);
  int32_t *rights = arg_view(env, argv[3], &rights_bytes);
  size_t room = rights_bytes / sizeof *rights - HEAD;
  if (room > RIGHTS_MAX) room = RIGHTS_MAX;
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(RIGHTS_MAX * sizeof(int))];
  /* CMSG_LEN, since the padding of CMSG_SPACE would have room for one more. */
  struct msghdr message = {.msg_iov = &data,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = CMSG_LEN(room * sizeof(int))};
  ssize_t length = recvmsg(arg_i32(env, argv[1]), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (length < 0) return result_i32(env, -errno);
  rights[0] = 0;
  rights[1] = (message.msg_flags & MSG_CTRUNC) != 0;
  for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t index = 0; index < count; index++) {
      int received;
      memcpy(&received, CMSG_DATA(part) + index * sizeof received, sizeof received);
      descriptors_set(&loop->tracked, (uint32_t)received, true);
      rights[HEAD + rights[0]++] = received;
    }
  }
  return result_i32(env, (int32_t)length);
}

/** loopCloseFd(loop, fd): number — untracks and close(2), in one for the same reason; 0 or -errno. */
static napi_value loop_close_fd(napi_env env, napi_callback_info info) {
  ARGS(2);
  struct loop *loop = arg_loop(env, argv[0]);
  int fd = arg_i32(env, argv[1]);
  if (!loop) return result_i32(env, -ECANCELED);
  descriptors_set(&loop->tracked, (uint32_t)fd, false);
  return result_syscall(env, close(fd));
}

const struct export loop_descriptor_exports[] = {
    {"loopTrackFd", loop_track_fd},
    {"loopSetupRing", loop_setup_ring},
    {"loopOpenSocket", loop_open_socket},
    {"loopOpenSocketPair", loop_open_socket_pair},
    {"loopDuplicateFd", loop_duplicate_fd},
    {"loopReceiveRights", loop_receive_rights},
    {"loopCloseFd", loop_close_fd},
    {NULL, NULL},
};
