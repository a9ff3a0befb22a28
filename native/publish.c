/*
 * The directory as a file in memory (/dev/shm), by which another process of the same user sees what this one counts.
 *
 * The folder is everybody's. A file is made without a name, complete and locked, before it is linked: so nobody ever finds
 * half of one, what is in the way is never opened or replaced, and whose lock is free is that of a process that has ended,
 * whatever namespace its number is of.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "publish.h"

#define PREFIX "percore-"

/* ABI: linux/magic.h. */
enum { MAGIC_TMPFS = 0x01021994 };
/* Copies of the package in one process have a file each. */
enum { NAMES_MAX = 64 };

static int folder_fd = -1, file_fd = -1;
static char *mapped;
static size_t mapped_bytes;
static struct stat identity;
static char path[PATH_MAX];
static pid_t owner; /* 0 while there is no name */

/* A child that was forked and never ran a program exits as this process does, and must leave the file alone. */
__attribute__((destructor)) static void remove_name(void) {
  if (owner != 0 && owner == getpid()) unlink(path);
}

static int32_t let_go(int32_t error) {
  if (mapped) munmap(mapped, mapped_bytes);
  if (file_fd >= 0) close(file_fd);
  if (folder_fd >= 0) close(folder_fd);
  mapped = NULL;
  file_fd = folder_fd = -1;
  return error;
}

static int open_folder(const char *folder) {
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -errno;
  struct statfs system;
  /* On a disk the counters would be written there for ever. */
  if (fstatfs(fd, &system) == 0 && system.f_type == MAGIC_TMPFS) return fd;
  close(fd);
  return -EOPNOTSUPP;
}

static int32_t reserve(int fd, size_t offset, size_t length) {
  while (fallocate(fd, 0, (off_t)offset, (off_t)length) < 0)
    if (errno != EINTR) return -errno;
  return 0;
}

/* A file that is longer than this process may make one would be answered with a signal that ends it. */
static bool may_be_long(size_t length) {
  struct rlimit limit;
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 && (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= length);
}

char *publish_map(const char *folder, size_t length, size_t first_bytes, int32_t *error) {
  if (strlen(folder) > sizeof path / 2) {
    *error = -ENAMETOOLONG;
    return NULL;
  }
  folder_fd = open_folder(folder);
  if (folder_fd < 0) {
    *error = folder_fd;
    return NULL;
  }
  *error = -EFBIG;
  if (!may_be_long(length)) goto failed;
  file_fd = openat(folder_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  /* The mask of the process may have taken bits of the mode. */
  if (file_fd < 0 || fchmod(file_fd, 0600) < 0 || ftruncate(file_fd, (off_t)length) < 0) goto failed_call;
  if (flock(file_fd, LOCK_EX | LOCK_NB) < 0 || fstat(file_fd, &identity) < 0) goto failed_call;
  *error = reserve(file_fd, 0, first_bytes);
  if (*error < 0) goto failed;
  void *mapping = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file_fd, 0);
  if (mapping == MAP_FAILED) goto failed_call;
  mapped = mapping;
  mapped_bytes = length;
  /* A child that goes on without a program of its own would count here. */
  if (madvise(mapping, length, MADV_DONTFORK) < 0) goto failed_call;
  snprintf(path, sizeof path, "%s/", folder);
  *error = 0;
  return mapped;
failed_call:
  *error = -errno;
failed:
  let_go(0);
  return NULL;
}

struct publication publish_describe(void) {
  struct publication publication = {.pid = (int32_t)getpid(), .start_ticks = 0, .pid_namespace = 0};
  struct stat namespace;
  if (stat("/proc/self/ns/pid", &namespace) == 0) publication.pid_namespace = (double)namespace.st_ino;
  FILE *file = fopen("/proc/self/stat", "re");
  if (!file) return publication;
  char line[1024];
  size_t length = fread(line, 1, sizeof line - 1, file);
  fclose(file);
  line[length] = 0;
  /* Behind the name, which may have anything in it, the third field and those that follow. */
  char *field = strrchr(line, ')');
  for (int number = 2; field && number < 22; number++) field = strchr(field + 1, ' ');
  if (field) publication.start_ticks = strtod(field + 1, NULL);
  return publication;
}

int32_t publish_name(const struct publication *publication) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file_fd);
  char *name = path + strlen(path);
  size_t room = sizeof path - (size_t)(name - path);
  for (int number = 0; number < NAMES_MAX; number++) {
    snprintf(name, room, PREFIX "%d-%.0f-%d", publication->pid, publication->start_ticks, number);
    if (linkat(AT_FDCWD, link, folder_fd, name, AT_SYMLINK_FOLLOW) == 0) {
      owner = getpid();
      close(folder_fd);
      folder_fd = -1;
      return 0;
    }
    if (errno != EEXIST) break;
  }
  return let_go(-errno);
}

int32_t publish_reserve(size_t offset, size_t length) {
  struct stat found;
  /* Who closes descriptors that are not his own has made this one another file's. */
  if (fstat(file_fd, &found) < 0) return -errno;
  if (found.st_dev != identity.st_dev || found.st_ino != identity.st_ino) return -EBADF;
  return reserve(file_fd, offset, length);
}

/* Whether it is a file of this user's that nobody holds. */
static bool is_left(int fd) {
  struct stat found;
  return fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_uid == geteuid() &&
         flock(fd, LOCK_EX | LOCK_NB) == 0;
}

int32_t publish_clear(const char *folder) {
  int fd = open_folder(folder);
  if (fd < 0) return fd;
  DIR *entries = fdopendir(fd);
  if (!entries) {
    close(fd);
    return -ENOMEM;
  }
  int32_t count = 0;
  for (struct dirent *entry = readdir(entries); entry; entry = readdir(entries)) {
    if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) != 0) continue;
    int file = openat(fd, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) continue;
    if (is_left(file) && unlinkat(fd, entry->d_name, 0) == 0) count++;
    close(file);
  }
  closedir(entries);
  return count;
}
