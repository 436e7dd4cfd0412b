/* The command's standard files, on their way into a sandbox. */
#ifndef RUNSC_C_STANDARD_FILES_H
#define RUNSC_C_STANDARD_FILES_H

#include <stdbool.h>

/* First of all: which of 0..2 are open. Closed ones become /dev/null, so that nothing else takes their numbers. */
void standard_files_check(void);
bool standard_file_closed(int fd);
/* Replace `fd` (a pipe or terminal) by an open file of our own with O_NONBLOCK: the flag is one of the open file, and
 * the one we were given is shared with whoever started us. False: not possible, it stays as it is. */
bool standard_file_own_nonblock(int fd);
/* The terminal's settings as they are now, and back to them. */
void terminal_save(void);
void terminal_restore(void);

#endif
