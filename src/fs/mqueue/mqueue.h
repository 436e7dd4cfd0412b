#ifndef FS_MQUEUE_H
#define FS_MQUEUE_H

void mqueue_register(void);

#endif
