/* What ps(1) shows of this process. */
#ifndef RUNSC_C_TITLE_H
#define RUNSC_C_TITLE_H

/* Once, at the start of main(). */
void title_init(int argc, char **argv);
/* From now on the command line of this process is `args`, as far as there is room, and its name that of the program; the strings that
 * main() was given are gone. */
void title_set(char *const *args);

#endif
