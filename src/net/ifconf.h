/* What is true of the loopback interface, for ioctls and netlink. */
#ifndef NET_IFCONF_H
#define NET_IFCONF_H

#define LO_INDEX 1
#define LO_MTU 65536
#define LO_HATYPE 772 /* ARPHRD_LOOPBACK */
#define LO_FLAGS 0x49 /* IFF_UP | IFF_LOOPBACK | IFF_RUNNING */
#define LO_FLAGS_DOWN 0x8 /* IFF_LOOPBACK */
#define LO_FLAGS_LOWER_UP 0x10049

#endif
