import Essentials
import Glibc
import SelfMetrics

/// `ntp`: how well the machine's NTP server keeps time.
///
/// Source of the protocol: RFC 5905; what counts as sane agrees with github.com/beevik/ntp and node_exporter.
final class NTPCollector: NodeCollector {
    /// One answer; times are nanoseconds since 1970, spans nanoseconds.
    private struct Answer {
        var leap: UInt8
        var stratum: UInt8
        var rootDelay: Int64
        var rootDispersion: Int64
        var reference: Int64
        var origin: Int64
        var received: Int64
        var transmitted: Int64
        var destination: Int64

        var roundTrip: Int64 { max(0, (destination - origin) - (transmitted - received)) }
        var offset: Int64 { ((received - origin) + (transmitted - destination)) / 2 }
        var rootDistance: Int64 { (roundTrip + rootDelay) / 2 + rootDispersion }
        /// By how much the clocks differ at least.
        var minimumError: Int64 { max(0, origin - received, transmitted - destination) }

        var isValid: Bool {
            (1..<16).contains(stratum) && leap != 3 && transmitted - reference <= (1 << 17) * 1_000_000_000
                && rootDelay / 2 + rootDispersion <= 16_000_000_000 && transmitted >= reference
        }
    }

    private static let day: Int64 = 86_400_000_000_000
    private static let size = 48

    private let arguments: NTPArguments
    /// The midnight of the last leap second that was announced: the announcement goes right after it.
    private var leapMidnight: Int64?

    init(_ settings: UnixSettings) { arguments = settings.ntp }

    func collect(_ scrape: NodeScrape) throws {
        let answer = try ask(scrape.clock)
        let page = scrape.page
        func gauge(_ name: String, _ help: String, _ value: Double) {
            page.add(page.gauge("node_ntp_" + name, help), value)
        }
        func seconds(_ nanoseconds: Int64) -> Double { Double(nanoseconds) / 1e9 }
        gauge("stratum", "NTPD stratum.", Double(answer.stratum))
        gauge("leap", "NTPD leap second indicator, 2 bits.", Double(answer.leap))
        gauge("rtt_seconds", "RTT to NTPD.", seconds(answer.roundTrip))
        gauge("offset_seconds", "ClockOffset between NTP and local clock.", seconds(answer.offset))
        gauge(
            "reference_timestamp_seconds", "NTPD ReferenceTime, UNIX timestamp.",
            answer.reference >= 1_000_000_000 ? seconds(answer.reference) : 0)
        gauge("root_delay_seconds", "NTPD RootDelay.", seconds(answer.rootDelay))
        gauge("root_dispersion_seconds", "NTPD RootDispersion.", seconds(answer.rootDispersion))

        var tolerance = arguments.offsetTolerance.nanoseconds
        if answer.leap == 1 || answer.leap == 2 { leapMidnight = (answer.transmitted / Self.day + 1) * Self.day }
        if let leapMidnight, abs(answer.transmitted - leapMidnight) < Self.day {
            // Servers may smear the second over the day.
            tolerance += 1_000_000_000
        }
        let isSane =
            answer.isValid && answer.rootDistance <= arguments.maximumDistance.nanoseconds
            && answer.minimumError <= tolerance
        gauge("sanity", "NTPD sanity according to RFC5905 heuristics and configured limits.", isSane ? 1 : 0)
    }

    // MARK: Asking

    private func ask(_ clock: EngineClock) throws -> Answer {
        let descriptor = try connected()
        defer { close(descriptor) }
        var request = [UInt8](repeating: 0, count: Self.size)
        request[0] = 3 << 6 | UInt8(arguments.version) << 3 | 3
        // A random time instead of ours: the answer must bring it back.
        let cookie = (0..<8).map { _ in UInt8.random(in: 0...255) }
        request.replaceSubrange(40..<48, with: cookie)
        let sent = clock.wallNanoseconds
        let start = clock.monotonicNanoseconds
        guard send(descriptor, request, request.count, 0) == request.count else { throw SystemError("send", "ntp") }
        var bytes = [UInt8](repeating: 0, count: Self.size)
        guard recv(descriptor, &bytes, bytes.count, 0) == Self.size else { throw SystemError("recv", "ntp") }
        let elapsed = clock.monotonicNanoseconds - start
        func long(_ offset: Int) -> UInt64 { bytes[offset..<(offset + 8)].reduce(0) { $0 << 8 | UInt64($1) } }
        func short(_ offset: Int) -> Int64 {
            let value = bytes[offset..<(offset + 4)].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            return Int64((value * 1_000_000_000 + 1 << 15) >> 16)
        }
        guard bytes[0] & 7 == 4, long(40) != 0, Array(bytes[24..<32]) == cookie, long(32) <= long(40) else {
            throw MalformedFile(path: "ntp", reason: "not an answer of a server")
        }
        return Answer(
            leap: bytes[0] >> 6, stratum: bytes[1], rootDelay: short(4), rootDispersion: short(8),
            reference: Self.time(long(16)), origin: sent, received: Self.time(long(32)),
            transmitted: Self.time(long(40)), destination: sent + elapsed)
    }

    /// NTP counts from 1900 on.
    private static func time(_ value: UInt64) -> Int64 {
        let seconds = Int64(value >> 32) - 2_208_988_800
        return seconds * 1_000_000_000 + Int64(((value & 0xFFFF_FFFF) * 1_000_000_000) >> 32)
    }

    private func connected() throws -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(arguments.server, "\(arguments.port)", &hints, &list) == 0, let found = list?.pointee else {
            throw MalformedFile(path: "ntp", reason: "no address of \(arguments.server)")
        }
        defer { freeaddrinfo(list) }
        let descriptor = socket(
            found.ai_family, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SystemError("socket", "ntp") }
        var timeout = timeval(tv_sec: 1, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var hops = Int32(arguments.hops)
        let (level, option) =
            found.ai_family == AF_INET6
            ? (Int32(IPPROTO_IPV6), Int32(IPV6_UNICAST_HOPS)) : (Int32(IPPROTO_IP), Int32(IP_TTL))
        if hops != 0 { setsockopt(descriptor, level, option, &hops, socklen_t(MemoryLayout<Int32>.size)) }
        guard connect(descriptor, found.ai_addr, found.ai_addrlen) == 0 else {
            close(descriptor)
            throw SystemError("connect", "ntp")
        }
        return descriptor
    }
}
