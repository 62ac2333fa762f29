import Essentials
import Telemetry
import Wire

/// Turns syslog messages into log entries, with the labels rules make of their headers.
///
/// Headers repeat, so label sets are remembered by the bytes they were made of, up to a bound. One owner at a time.
struct SyslogMapper {
    /// What became of the messages of one reading.
    struct Tally: Sendable {
        var malformed = 0
        var empty = 0
        /// Those of the empty ones that were not forwarded.
        var unforwarded = 0
        /// Dropped by a rule.
        var dropped = 0
        /// The last reason why a message was malformed.
        var problem: SyslogError?
    }

    private enum Outcome {
        case labels(LabelSet)
        case dropped
    }

    private static let maximumCachedBytes = 256 << 10

    private let settings: LokiSourceSyslog.ListenerSettings
    private let relabeling: Relabeling
    private let connection: LabelSet
    private var builder = LabelSetBuilder()
    private var key: [UInt8] = []
    private var cache: [[UInt8]: Outcome] = [:]
    private var cachedBytes = 0
    private var lastTimestamp: Int64 = .min

    /// For messages of one sender, whose address is `host`; `hostName` is empty when it has none.
    init(
        _ settings: LokiSourceSyslog.ListenerSettings, _ relabeling: Relabeling, host: String, hostName: String
    ) {
        self.settings = settings
        self.relabeling = relabeling
        builder.reset(to: settings.labels)
        builder.set("__syslog_connection_ip_address", to: host)
        builder.set("__syslog_connection_hostname", to: hostName)
        connection = builder.finish()
    }

    /// Adds the message that `bytes` are to `batch`, or counts why not. `now` is the time of its arrival.
    mutating func add(
        _ bytes: UnsafeRawBufferPointer, now: Int64, to batch: inout LogBatch, _ tally: inout Tally
    ) {
        let message: SyslogMessage
        do throws(SyslogError) {
            message = try settings.parser.parse(bytes)
        } catch {
            tally.malformed += 1
            tally.problem = error
            return
        }
        if message.message == nil {
            tally.empty += 1
            guard settings.allowsEmptyMessages else {
                tally.unforwarded += 1
                return
            }
        }
        guard case .labels(let labels) = labels(of: message, bytes) else {
            tally.dropped += 1
            return
        }
        let line = settings.sendsWholeMessage ? 0..<bytes.count : message.message ?? 0..<0
        batch.append(
            UnsafeRawBufferPointer(rebasing: bytes[line]), stream: batch.stream(for: labels),
            timestamp: timestamp(of: message, now: now))
    }

    private mutating func timestamp(of message: SyslogMessage, now: Int64) -> Int64 {
        if settings.usesIncomingTimestamp {
            if case .yearless = message.time {
                if settings.takesCurrentYear, let time = message.timestamp(near: now) { return time }
            } else if let time = message.timestamp(near: now) {
                return time
            }
        }
        // A time of its own for each: Loki takes equal lines of one time for one.
        lastTimestamp = max(now, lastTimestamp &+ 1)
        return lastTimestamp
    }

    // MARK: Labels

    private mutating func labels(of message: SyslogMessage, _ bytes: UnsafeRawBufferPointer) -> Outcome {
        makeKey(of: message, bytes)
        if let known = cache[key] { return known }
        let made = makeLabels(of: message, bytes)
        if cachedBytes + key.count + 256 > Self.maximumCachedBytes {
            cache.removeAll(keepingCapacity: true)
            cachedBytes = 0
        }
        cache[key] = made
        cachedBytes += key.count + 256
        return made
    }

    /// Everything labels are made of, with lengths so that no two headers have the same key.
    private mutating func makeKey(of message: SyslogMessage, _ bytes: UnsafeRawBufferPointer) {
        key.removeAll(keepingCapacity: true)
        key.append(UInt8(truncatingIfNeeded: message.priority ?? 0xFFFF))
        key.append(UInt8(truncatingIfNeeded: (message.priority ?? 0xFFFF) >> 8))
        for range in [message.hostName, message.appName, message.processID, message.messageID] {
            append(range.map { UnsafeRawBufferPointer(rebasing: bytes[$0]) })
        }
        for number in [message.counter, message.sequence] {
            guard let number else {
                key.append(0)
                continue
            }
            key.append(1)
            withUnsafeBytes(of: number) { key.append(contentsOf: $0) }
        }
        guard settings.labelsStructuredData else { return }
        for parameter in message.structuredData {
            append(UnsafeRawBufferPointer(rebasing: bytes[parameter.element]))
            append(UnsafeRawBufferPointer(rebasing: bytes[parameter.name]))
            parameter.value.withUnsafeBytes { append($0) }
        }
    }

    private mutating func append(_ part: UnsafeRawBufferPointer?) {
        let length = UInt32(truncatingIfNeeded: part?.count ?? Int(UInt32.max))
        withUnsafeBytes(of: length) { key.append(contentsOf: $0) }
        if let part { key.append(contentsOf: part) }
    }

    private mutating func makeLabels(of message: SyslogMessage, _ bytes: UnsafeRawBufferPointer) -> Outcome {
        builder.reset(to: connection)
        func text(_ range: Range<Int>) -> String {
            String(decoding: UnsafeRawBufferPointer(rebasing: bytes[range]), as: UTF8.self)
        }
        func set(_ name: String, _ value: String?) {
            if let value { builder.set("__syslog_message_\(name)", to: value) }
        }
        set("severity", message.severityName)
        set("facility", message.facilityName)
        set("hostname", message.hostName.map(text))
        set("app_name", message.appName.map(text))
        set("proc_id", message.processID.map(text))
        set("msg_id", message.messageID.map(text))
        set("msg_counter", message.counter.map { "\($0)" })
        set("sequence", message.sequence.map { "\($0)" })
        if settings.labelsStructuredData {
            for parameter in message.structuredData {
                let element = String(text(parameter.element).map { $0 == "@" ? "_" : $0 })
                set("sd_\(element)_\(text(parameter.name))", String(decoding: parameter.value, as: UTF8.self))
            }
        }
        guard relabeling.apply(to: &builder) else { return .dropped }
        builder.filter { name, _ in !LokiLabelText.isInternal(name) }
        return .labels(builder.finish())
    }
}
