/* Reading and writing through handles. All results are bytes or -errno. */
#ifndef HOST_FILE_IO_H
#define HOST_FILE_IO_H

#include <sys/uio.h>

#include "host/handle.h"

#define FILE_IO_STREAM (~0ull)

/* One transfer. flags: HC_RW_*; pos: FILE_IO_STREAM for the stream position. May wait unless HC_RW_NOWAIT. */
s64 file_io(const struct handle *h, bool write, const struct iovec *iov, u32 niov, u64 pos, u32 flags);

#endif
