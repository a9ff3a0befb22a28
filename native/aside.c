/*
 * System calls that may block and have no opcode: on a thread of libuv's pool.
 *
 * Each takes descriptors of its own, duplicated here: those of a thread that is terminated are closed, and their
 * numbers may be other files' before the call has begun.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "napi.h"

struct aside {
  napi_async_work work;
  napi_ref done;
  napi_ref view; /* keeps `bytes` */
  long (*call)(struct aside *aside);
  long result;
  int fds[2];
  int64_t numbers[3];
  void *bytes;
  size_t length_bytes;
};

static void close_all(struct aside *aside) {
  for (int index = 0; index < 2; index++)
    if (aside->fds[index] >= 0) close(aside->fds[index]);
}

/* On a thread of the pool; closing may block as well. */
static void execute(napi_env env, void *data) {
  (void)env;
  struct aside *aside = data;
  long result = aside->call(aside);
  aside->result = result < 0 ? -errno : result;
  close_all(aside);
}

static void complete(napi_env env, napi_status status, void *data) {
  struct aside *aside = data;
  if (status == napi_cancelled) {
    close_all(aside);
    aside->result = -ECANCELED;
  }
  napi_value done, receiver, argument = result_i64(env, aside->result);
  OK(napi_get_reference_value(env, aside->done, &done));
  OK(napi_get_undefined(env, &receiver));
  OK(napi_delete_reference(env, aside->done));
  if (aside->view) OK(napi_delete_reference(env, aside->view));
  OK(napi_delete_async_work(env, aside->work));
  free(aside);
  /* It fails in a worker that is being terminated, where nobody waits for it. */
  napi_call_function(env, receiver, done, 1, &argument, NULL);
}

/* Duplicates a descriptor for `slot`; 0 or -errno. */
static int take_fd(struct aside *aside, int slot, int fd) {
  aside->fds[slot] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return aside->fds[slot] < 0 ? -errno : 0;
}

static struct aside *new_aside(long (*call)(struct aside *)) {
  struct aside *aside = calloc(1, sizeof *aside);
  if (!aside) return NULL;
  aside->call = call;
  aside->fds[0] = aside->fds[1] = -1;
  return aside;
}

/* Returns 0, or -errno where `done` will not be called; `error` is one that came before. */
static napi_value start(napi_env env, struct aside *aside, int error, napi_value done) {
  napi_value name;
  if (!error && (napi_create_string_utf8(env, "percore", NAPI_AUTO_LENGTH, &name) != napi_ok ||
                 napi_create_async_work(env, NULL, name, execute, complete, aside, &aside->work) !=
                     napi_ok))
    error = -ECANCELED;
  if (error) {
    if (aside) {
      close_all(aside);
      if (aside->view) OK(napi_delete_reference(env, aside->view));
      free(aside);
    }
    return result_i32(env, error);
  }
  OK(napi_create_reference(env, done, 1, &aside->done));
  OK(napi_queue_async_work(env, aside->work));
  return result_i32(env, 0);
}

static void keep_view(napi_env env, struct aside *aside, napi_value view) {
  aside->bytes = arg_view(env, view, &aside->length_bytes);
  OK(napi_create_reference(env, view, 1, &aside->view));
}

static long call_read_directory(struct aside *aside) {
  return syscall(SYS_getdents64, aside->fds[0], aside->bytes, aside->length_bytes);
}

/** asideReadDirectory(fd, target, done): number — getdents64(2): `done` gets the bytes written, 0 at the end, or -errno. */
static napi_value aside_read_directory(napi_env env, napi_callback_info info) {
  ARGS(3);
  struct aside *aside = new_aside(call_read_directory);
  int error = aside ? take_fd(aside, 0, arg_i32(env, argv[0])) : -ENOMEM;
  if (!error) keep_view(env, aside, argv[1]);
  return start(env, aside, error, argv[2]);
}

static long call_read_link(struct aside *aside) {
  return readlinkat(aside->fds[0], "", aside->bytes, aside->length_bytes);
}

/** asideReadLink(fd, target, done): number — readlinkat(2) of what O_PATH has opened: its length, or -errno. */
static napi_value aside_read_link(napi_env env, napi_callback_info info) {
  ARGS(3);
  struct aside *aside = new_aside(call_read_link);
  int error = aside ? take_fd(aside, 0, arg_i32(env, argv[0])) : -ENOMEM;
  if (!error) keep_view(env, aside, argv[1]);
  return start(env, aside, error, argv[2]);
}

static long call_copy_range(struct aside *aside) {
  int64_t *numbers = aside->numbers;
  return syscall(SYS_copy_file_range, aside->fds[0], &numbers[0], aside->fds[1], &numbers[1],
                 (size_t)numbers[2], 0);
}

/**
 * asideCopyRange(fromFd, fromOffset, toFd, toOffset, lengthBytes, done): number
 *
 * copy_file_range(2): `done` gets the bytes copied, 0 at the end, or -errno.
 */
static napi_value aside_copy_range(napi_env env, napi_callback_info info) {
  ARGS(6);
  struct aside *aside = new_aside(call_copy_range);
  int error = aside ? take_fd(aside, 0, arg_i32(env, argv[0])) : -ENOMEM;
  if (!error) error = take_fd(aside, 1, arg_i32(env, argv[2]));
  if (!error) {
    aside->numbers[0] = (int64_t)arg_f64(env, argv[1]);
    aside->numbers[1] = (int64_t)arg_f64(env, argv[3]);
    aside->numbers[2] = (int64_t)arg_f64(env, argv[4]);
  }
  return start(env, aside, error, argv[5]);
}

static long call_lock(struct aside *aside) {
  return flock(aside->fds[0], (int)aside->numbers[0]);
}

static long call_change_mode(struct aside *aside) {
  return fchmod(aside->fds[0], (mode_t)aside->numbers[0]);
}

static long call_change_owner(struct aside *aside) {
  return fchown(aside->fds[0], (uid_t)aside->numbers[0], (gid_t)aside->numbers[1]);
}

/* XFS takes it for files without extents alone, in multiples of its blocks. */
static long call_hint_extent(struct aside *aside) {
  struct fsxattr attributes;
  if (ioctl(aside->fds[0], FS_IOC_FSGETXATTR, &attributes) < 0) return -1;
  uint32_t size_bytes = (uint32_t)aside->numbers[0];
  attributes.fsx_extsize = size_bytes;
  if (size_bytes > 0) attributes.fsx_xflags |= FS_XFLAG_EXTSIZE;
  else attributes.fsx_xflags &= ~(uint32_t)FS_XFLAG_EXTSIZE;
  return ioctl(aside->fds[0], FS_IOC_FSSETXATTR, &attributes);
}

static napi_value with_number(napi_env env, napi_callback_info info, long (*call)(struct aside *)) {
  ARGS(3);
  struct aside *aside = new_aside(call);
  int error = aside ? take_fd(aside, 0, arg_i32(env, argv[0])) : -ENOMEM;
  if (!error) aside->numbers[0] = (int64_t)arg_f64(env, argv[1]);
  return start(env, aside, error, argv[2]);
}

/** asideLock(fd, operation, done): number — flock(2), LOCK_NB included: a thread that waits is one less for others. */
static napi_value aside_lock(napi_env env, napi_callback_info info) {
  return with_number(env, info, call_lock);
}

/** asideChangeMode(fd, mode, done): number — fchmod(2) */
static napi_value aside_change_mode(napi_env env, napi_callback_info info) {
  return with_number(env, info, call_change_mode);
}

/** asideChangeOwner(fd, userId, groupId, done): number — fchown(2) */
static napi_value aside_change_owner(napi_env env, napi_callback_info info) {
  ARGS(4);
  struct aside *aside = new_aside(call_change_owner);
  int error = aside ? take_fd(aside, 0, arg_i32(env, argv[0])) : -ENOMEM;
  if (!error) {
    aside->numbers[0] = (int64_t)arg_f64(env, argv[1]);
    aside->numbers[1] = (int64_t)arg_f64(env, argv[2]);
  }
  return start(env, aside, error, argv[3]);
}

/** asideHintExtent(fd, sizeBytes, done): number — FS_IOC_FSSETXATTR of the extent size, ioctl_xfs_fsgetxattr(2) */
static napi_value aside_hint_extent(napi_env env, napi_callback_info info) {
  return with_number(env, info, call_hint_extent);
}

const struct export aside_exports[] = {
    {"asideReadDirectory", aside_read_directory},
    {"asideReadLink", aside_read_link},
    {"asideCopyRange", aside_copy_range},
    {"asideLock", aside_lock},
    {"asideChangeMode", aside_change_mode},
    {"asideChangeOwner", aside_change_owner},
    {"asideHintExtent", aside_hint_extent},
    {NULL, NULL},
};
