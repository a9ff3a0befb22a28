/* The directory as a file, for other processes of its owner to read. */
#ifndef PERCORE_PUBLISH_H
#define PERCORE_PUBLISH_H

#include <stddef.h>
#include <stdint.h>

/* What begins the file: what is told of the process. */
struct publication {
  int32_t pid;
  double start_ticks;   /* since the machine booted, as field 22 of /proc/self/stat */
  double pid_namespace; /* the inode of /proc/self/ns/pid, 0 where that is not told */
};

/**
 * Maps a new file of a folder in memory, of which nothing takes room but its first `first_bytes`. It has no name yet, and
 * is locked by this process until it ends. Returns NULL with -errno in `error`, where the folder is not there, not in memory,
 * full, read-only, or files may not be that long.
 */
char *publish_map(const char *folder, size_t length, size_t first_bytes, int32_t *error);

/* Tells of this process. */
struct publication publish_describe(void);

/**
 * Gives the file its name, for its owner's eyes alone, until this process exits; 0 or -errno, and then it is let go of. It
 * never takes the place of something, and follows no link.
 */
int32_t publish_name(const struct publication *publication);

/* Takes room for a part that is about to be touched: a write where there is none would end the process. 0 or -errno. */
int32_t publish_reserve(size_t offset, size_t length);

/* Removes files of this user whose processes have ended without doing so. Returns how many, or -errno. */
int32_t publish_clear(const char *folder);

#endif
