import Testing

/// One test at a time holds a thread while its harness waits for sockets and disks.
@Suite("Discovery", .serialized)
struct DiscoveryTests {}
