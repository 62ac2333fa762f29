import Glibc

/// One accepted connection: to a target, or to the receiver of remote write.
final class Connection {
    enum Role {
        case target(Int)
        case receiver
    }

    let descriptor: CInt
    let role: Role
    private var input: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    private var received = 0
    private var output: UnsafePointer<UInt8>?
    private var unsent = 0

    private static let noContent = Array("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n".utf8)
    private static let badRequest = Array("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".utf8)
    private static let busy = Array("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".utf8)

    init(_ descriptor: CInt, _ role: Role) {
        self.descriptor = descriptor
        self.role = role
        capacity = if case .receiver = role { 1 << 18 } else { 4096 }
        input = .allocate(capacity: capacity)
    }

    deinit {
        input.deallocate()
        close(descriptor)
    }

    var isWriting: Bool { unsent > 0 }

    /// Reads what there is and answers; false when the connection is over.
    func readable(_ load: Load) -> Bool {
        while true {
            if received == capacity { grow(to: capacity * 2) }
            let count = read(descriptor, input + received, capacity - received)
            if count == 0 { return false }
            if count < 0 { return errno == EAGAIN }
            received += count
            while unsent == 0, let length = requestLength() {
                if received < length.head + length.body {
                    if capacity < length.head + length.body { grow(to: length.head + length.body) }
                    break
                }
                guard answer(load, length.head, length.body) else { return false }
                received -= length.head + length.body
                memmove(input, input + length.head + length.body, received)
            }
        }
    }

    /// Sends more of a page; false when the connection is over.
    func writable(_ load: Load) -> Bool { flush(load) && (unsent > 0 || readable(load)) }

    /// The peer is gone.
    func closed(_ load: Load) {
        if case .target(let target) = role, unsent > 0 { load.pages[target].abort() }
    }

    private func grow(to size: Int) {
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: size)
        memcpy(larger, input, received)
        input.deallocate()
        input = larger
        capacity = size
    }

    private func requestLength() -> (head: Int, body: Int)? {
        var body = 0
        var line = 0
        while line < received, let feed = memchr(input + line, 10, received - line) {
            let next = UnsafeRawPointer(feed) - UnsafeRawPointer(input) + 1
            if next - line == 2 { return (next, body) }
            let text = UnsafeRawPointer(input + line).assumingMemoryBound(to: CChar.self)
            if next - line > 15, strncasecmp(text, "content-length:", 15) == 0 {
                var index = line + 15
                while input[index] == 32 { index += 1 }
                while input[index] &- 48 < 10 {
                    body = body * 10 + Int(input[index] - 48)
                    index += 1
                }
            }
            line = next
        }
        return nil
    }

    private func answer(_ load: Load, _ head: Int, _ body: Int) -> Bool {
        switch role {
        case .receiver:
            return send(load.checker.take(input + head, body) ? Self.noContent : Self.badRequest)
        case .target(let target):
            let page = load.pages[target]
            if page.isBusy { return send(Self.busy) }
            page.begin()
            output = UnsafePointer(page.bytes)
            unsent = page.count
            return flush(load)
        }
    }

    private func send(_ response: [UInt8]) -> Bool {
        // So few bytes always fit into the socket's buffer.
        response.withUnsafeBytes { write(descriptor, $0.baseAddress!, $0.count) } == response.count
    }

    private func flush(_ load: Load) -> Bool {
        while unsent > 0, let from = output {
            let count = write(descriptor, from, unsent)
            if count < 0 {
                if errno == EAGAIN { return true }
                return false
            }
            output = from + count
            unsent -= count
        }
        if case .target(let target) = role, load.pages[target].isBusy { load.pages[target].end() }
        return true
    }
}
