#define _GNU_SOURCE
#include "CNode.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int invar_adjtimex(struct timex *values) { return (int)syscall(SYS_adjtimex, values); }

static int request(int socket, const char *device, void *command) {
    struct ifreq ifr;
    memset(&ifr, 0, sizeof ifr);
    if (strlen(device) >= sizeof ifr.ifr_name) {
        errno = ENODEV;
        return -1;
    }
    strcpy(ifr.ifr_name, device);
    ifr.ifr_data = command;
    return ioctl(socket, SIOCETHTOOL, &ifr);
}

int invar_ethtool_link(int socket, const char *device, uint32_t *supported, uint32_t *advertised, uint8_t *autoneg) {
    struct ethtool_cmd command;
    memset(&command, 0, sizeof command);
    command.cmd = ETHTOOL_GSET;
    if (request(socket, device, &command) < 0) return -1;
    *supported = command.supported;
    *advertised = command.advertising;
    *autoneg = command.autoneg;
    return 0;
}

int invar_ethtool_driver(int socket, const char *device, struct ethtool_drvinfo *information) {
    memset(information, 0, sizeof *information);
    information->cmd = ETHTOOL_GDRVINFO;
    return request(socket, device, information);
}

int invar_ethtool_statistics(int socket, const char *device, uint8_t *names, uint64_t *values, uint32_t capacity) {
    // The kernel writes as many as there are now, which may be more than a moment ago.
    const uint32_t room = capacity * 2 + 256;
    struct ethtool_gstrings *strings = calloc(1, sizeof *strings + (size_t)room * ETH_GSTRING_LEN);
    struct ethtool_stats *numbers = calloc(1, sizeof *numbers + (size_t)room * sizeof(uint64_t));
    int result = -1;
    if (strings == NULL || numbers == NULL) {
        errno = ENOMEM;
        goto end;
    }
    strings->cmd = ETHTOOL_GSTRINGS;
    strings->string_set = ETH_SS_STATS;
    strings->len = capacity;
    if (request(socket, device, strings) < 0) goto end;
    numbers->cmd = ETHTOOL_GSTATS;
    numbers->n_stats = strings->len;
    if (request(socket, device, numbers) < 0) goto end;
    uint32_t count = strings->len < numbers->n_stats ? strings->len : numbers->n_stats;
    if (count > capacity) count = capacity;
    memcpy(names, strings->data, (size_t)count * ETH_GSTRING_LEN);
    memcpy(values, numbers->data, (size_t)count * sizeof(uint64_t));
    result = (int)count;
end:
    free(strings);
    free(numbers);
    return result;
}

int invar_perf_open(uint32_t type, uint64_t config, int cpu) {
    struct perf_event_attr event;
    memset(&event, 0, sizeof event);
    event.type = type;
    event.size = sizeof event;
    event.config = config;
    event.exclude_hv = 1;
    return (int)syscall(SYS_perf_event_open, &event, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}
