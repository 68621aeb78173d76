/*
 * A layer beneath the daemon that loses the disk: once the file named by SPANMILL_EIO is
 * there, no sync succeeds any more. Loaded with LD_PRELOAD.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_broken(void) {
    const char *trigger = getenv("SPANMILL_EIO");
    return trigger != NULL && access(trigger, F_OK) == 0;
}

static int sync_file(long call, int file) {
    if (is_broken()) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(call, file);
}

int fsync(int file) { return sync_file(SYS_fsync, file); }

int fdatasync(int file) { return sync_file(SYS_fdatasync, file); }
