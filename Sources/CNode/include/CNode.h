// System calls of the exporters that glibc does not pass on unchanged, and ioctl requests, which are variadic.
#ifndef INVAR_CNODE_H
#define INVAR_CNODE_H
#include <linux/ethtool.h>
#include <stdint.h>
#include <sys/timex.h>
#include <sys/vfs.h>

/// The raw adjtimex(2), which sandboxes allow where they refuse the clock_adjtime(2) behind glibc's function.
/// Returns the clock's state, or -1 with errno set.
int invar_adjtimex(struct timex *values);

/// What a device supports and offers, as 32 bits of link modes each. Returns 0, or -1 with errno set.
int invar_ethtool_link(int socket, const char *device, uint32_t *supported, uint32_t *advertised, uint8_t *autoneg);

/// What drives a device. Returns 0, or -1 with errno set.
int invar_ethtool_driver(int socket, const char *device, struct ethtool_drvinfo *information);

/// The statistics of a device: names of ETH_GSTRING_LEN bytes each, and their values. `capacity` is how many fit into
/// both arrays. Returns how many there are, or -1 with errno set.
int invar_ethtool_statistics(int socket, const char *device, uint8_t *names, uint64_t *values, uint32_t capacity);

/// Counts an event of perf_event_open(2) on a processor, for all processes, from now on. Returns a descriptor to read the
/// number from as 64 bits, or -1 with errno set.
int invar_perf_open(uint32_t type, uint64_t config, int cpu);
#endif
