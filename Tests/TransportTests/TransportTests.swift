import Testing

/// Everything here uses real sockets and time limits: one test at a time keeps the machine's load out of them.
@Suite("Transport", .serialized)
enum TransportTests {}
