import CEpoll
import Glibc

/// Serves targets with pages of Prometheus text and takes what a collector makes of them, checking each value.
///
/// One thread and no allocation per request, so that what it costs is little beside what is measured. Prints a line with
/// the addresses when it listens; answers `snapshot` on standard input with a line of counts; ends with its input.
final class Load {
    let options: Options
    let pages: [Page]
    let checker: Checker
    private let poll: CInt
    private var connections: [Connection?] = []
    private var listeners: [CInt: Connection.Role] = [:]
    private var isWatchingWrites: Set<CInt> = []

    init(_ options: Options) {
        self.options = options
        pages = (0..<options.targets).map { Page($0, options) }
        checker = Checker(options, pages)
        poll = epoll_create1(0)
    }

    func run() {
        signal(SIGPIPE, SIG_IGN)
        let (receiver, receiverPort) = listen(on: (127, 0, 0, 1), port: 0)
        listeners[receiver] = .receiver
        var port: UInt16 = 0
        var addresses: [String] = []
        for target in 0..<options.targets {
            let address = options.address(of: target)
            let (listener, bound) = listen(on: address, port: port)
            port = bound
            listeners[listener] = .target(target)
            addresses.append("\"\(address.0).\(address.1).\(address.2).\(address.3):\(bound)\"")
        }
        for listener in listeners.keys { watch(listener, EPOLLIN.rawValue, EPOLL_CTL_ADD) }
        watch(STDIN_FILENO, EPOLLIN.rawValue, EPOLL_CTL_ADD)
        say("{\"receiver\": \(receiverPort), \"targets\": [\(addresses.joined(separator: ", "))]}")
        var events = [epoll_event](repeating: epoll_event(), count: 256)
        while true {
            let count = epoll_wait(poll, &events, CInt(events.count), -1)
            if count < 0 { if errno == EINTR { continue } else { die("epoll_wait: \(errno)") } }
            for index in 0..<Int(count) { dispatch(events[index]) }
        }
    }

    private func dispatch(_ event: epoll_event) {
        let descriptor = event.data.fd
        if descriptor == STDIN_FILENO { return command() }
        if let role = listeners[descriptor] { return accept(descriptor, role) }
        guard Int(descriptor) < connections.count, let connection = connections[Int(descriptor)] else { return }
        var isOpen = event.events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) == 0
        if isOpen, event.events & EPOLLOUT.rawValue != 0 { isOpen = connection.writable(self) }
        if isOpen, event.events & EPOLLIN.rawValue != 0 { isOpen = connection.readable(self) }
        if !isOpen {
            connection.closed(self)
            isWatchingWrites.remove(descriptor)
            connections[Int(descriptor)] = nil
        } else if connection.isWriting != isWatchingWrites.contains(descriptor) {
            if connection.isWriting { isWatchingWrites.insert(descriptor) } else { isWatchingWrites.remove(descriptor) }
            let events = EPOLLIN.rawValue | (connection.isWriting ? EPOLLOUT.rawValue : 0)
            watch(descriptor, events, EPOLL_CTL_MOD)
        }
    }

    private func accept(_ listener: CInt, _ role: Connection.Role) {
        let descriptor = Glibc.accept(listener, nil, nil)
        if descriptor < 0 { return }
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        var on: CInt = 1
        setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<CInt>.size))
        while connections.count <= Int(descriptor) { connections.append(nil) }
        connections[Int(descriptor)] = Connection(descriptor, role)
        watch(descriptor, EPOLLIN.rawValue, EPOLL_CTL_ADD)
    }

    private func watch(_ descriptor: CInt, _ events: UInt32, _ operation: CInt) {
        var event = epoll_event()
        event.events = events
        event.data.fd = descriptor
        if epoll_ctl(poll, operation, descriptor, &event) < 0 { die("epoll_ctl: \(errno)") }
    }

    private func listen(on address: (UInt8, UInt8, UInt8, UInt8), port: UInt16) -> (CInt, UInt16) {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        var on: CInt = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<CInt>.size))
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        let number =
            UInt32(address.0) << 24 | UInt32(address.1) << 16 | UInt32(address.2) << 8 | UInt32(address.3)
        name.sin_addr.s_addr = number.bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 && Glibc.listen(descriptor, 128) == 0
                    && getsockname(descriptor, pointer, &length) == 0
            }
        }
        if !result { die("cannot listen on \(address): \(errno)") }
        return (descriptor, UInt16(bigEndian: name.sin_port))
    }

    // MARK: Commands

    private func command() {
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(STDIN_FILENO, &bytes, bytes.count)
        if count <= 0 { exit(0) }
        for line in bytes[..<count].split(separator: 10) {
            switch String(decoding: line, as: UTF8.self) {
            case "snapshot": snapshot(isFinal: false)
            case "result": snapshot(isFinal: true)
            default: die("unknown command")
            }
        }
    }

    /// Looking for what is missing takes a while: only the result has it.
    private func snapshot(isFinal: Bool) {
        let counts = checker.counts
        let scrapes = pages.reduce(0) { $0 + $1.served }
        let missing = isFinal ? checker.missing : (0, 0)
        say(
            "{\"scrapes\": \(scrapes), \"scraped\": \(scrapes * options.series), \"correct\": \(counts.correct), "
                + "\"missing\": \(missing.0), \"missing_of_last_scrapes\": \(missing.1), "
                + "\"duplicates\": \(counts.duplicates), \"corrupt\": \(counts.corrupt), "
                + "\"unwanted\": \(counts.unwanted), \"stale_markers\": \(counts.staleMarkers), "
                + "\"reports\": \(counts.reports), \"malformed\": \(counts.malformed), "
                + "\"requests\": \(counts.requests), \"bytes\": \(counts.bytes), "
                + "\"least_scrapes\": \(pages.map(\.served).min() ?? 0)}")
    }

    private func say(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        bytes.withUnsafeBytes { _ = write(STDOUT_FILENO, $0.baseAddress!, $0.count) }
    }
}

@main
enum Main {
    static func main() { Load(Options(Array(CommandLine.arguments.dropFirst()))).run() }
}
