import Essentials
import Telemetry
import Wire

/// Makes the log records of one batch of spans.
///
/// What a line says is kept as references into the batch until the next span.
final class SpanLogWriter {
    private typealias Entry = (key: OTLPKey, value: OTLPValue)

    private let arguments: OtelcolConnectorSpanLogs.Arguments
    private let walker = OTLPWalker()
    private let record = OTLPMessage()
    private var assembler = OTLPAssembler(kind: .logs)
    private var line = LogfmtWriter()
    /// What lines about the span being visited have in common.
    private var entries: [Entry] = []
    private var lastTrace: [UInt8] = []
    /// The span's duration and, from byte 32 on, the trace's ID in digits.
    private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 1)

    private static let serviceName: OTLPKey = "service.name"
    private static let kinds: (span: OTLPKey, root: OTLPKey, process: OTLPKey, event: OTLPKey) = (
        "span", "root", "process", "event"
    )
    private static let ok: OTLPKey = "Ok"
    private static let failed: OTLPKey = "Error"

    init(_ arguments: OtelcolConnectorSpanLogs.Arguments) { self.arguments = arguments }

    deinit { scratch.deallocate() }

    func lines(of batch: OTLPBatch) throws -> OTLPBatch {
        try walker.walk(batch, to: arguments.writesEvents ? .point : .item) { level in
            switch level {
            case .resource: break
            case .scope: lastTrace = []
            case .item: visitSpan()
            case .point: visitEvent()
            }
            return .keep
        }
        return assembler.finish(client: batch.client)
    }

    private func visitSpan() {
        let span = walker.span
        let trace = traceText(span)
        if arguments.writesProcesses, !lastTrace.elementsEqual(span.traceID) || lastTrace.isEmpty {
            lastTrace = Array(span.traceID)
            entries.removeAll(keepingCapacity: true)
            addProcess()
            set(arguments.keys.trace, .string(trace))
            append(Self.kinds.process)
        }
        let isRoot = arguments.writesRoots && span.parentSpanID.allSatisfy { $0 == 0 }
        guard arguments.writesSpans || isRoot || arguments.writesEvents else { return }
        entries.removeAll(keepingCapacity: true)
        set(arguments.keys.span, .string(span.name))
        set(arguments.keys.duration, .string(durationText(span)))
        switch span.statusCode {
        case 0: break
        case 1: set(arguments.keys.status, .string(Self.ok.bytes))
        case 2: set(arguments.keys.status, .string(Self.failed.bytes))
        default: set(arguments.keys.status, .string(OTLPBytes.empty))
        }
        add(arguments.spanAttributes, of: walker.item)
        addProcess()
        set(arguments.keys.trace, .string(trace))
        if arguments.writesSpans { append(Self.kinds.span) }
        if isRoot { append(Self.kinds.root) }
    }

    private func visitEvent() {
        let common = entries
        add(arguments.eventAttributes, of: walker.point)
        append(Self.kinds.event)
        entries = common
    }

    private func addProcess() {
        let service = walker.resource.attributes[Self.serviceName]?.stringBytes ?? OTLPBytes.empty
        set(arguments.keys.service, .string(service))
        add(arguments.processAttributes, of: walker.resource)
    }

    private func add(_ keys: [OTLPKey], of message: OTLPMessage) {
        for key in keys {
            if let value = message.attributes[key] { set(key, value) }
        }
    }

    /// A later value takes the place of an earlier one.
    private func set(_ key: OTLPKey, _ value: OTLPValue) {
        if let place = entries.firstIndex(where: { $0.key == key }) {
            entries[place].value = value
        } else {
            entries.append((key, value))
        }
    }

    private func append(_ kind: OTLPKey) {
        line.removeAll()
        for entry in entries { line.append(entry.key.bytes, entry.value) }
        record.clear(as: .logRecord)
        line.bytes.withUnsafeBytes { record.set(OTLPField.LogRecord.body, value: .string($0)) }
        record.attributes.set(arguments.keys.tag, to: .string(kind.bytes))
        for entry in entries where arguments.labels.contains(entry.key) {
            record.attributes.set(entry.key, to: entry.value)
        }
        assembler.append(record)
    }

    // MARK: Texts

    private func durationText(_ span: OTLPSpan) -> UnsafeRawBufferPointer {
        let nanoseconds = Int64(bitPattern: span.endTimeUnixNano &- span.startTimeUnixNano)
        var start = 32
        func put(_ byte: UInt8) {
            start -= 1
            scratch[start] = byte
        }
        put(0x73)
        put(0x6E)
        var rest = nanoseconds.magnitude
        repeat {
            put(0x30 + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        if nanoseconds < 0 { put(0x2D) }
        return UnsafeRawBufferPointer(rebasing: scratch[start..<32])
    }

    private func traceText(_ span: OTLPSpan) -> UnsafeRawBufferPointer {
        var end = 32
        guard !span.traceID.allSatisfy({ $0 == 0 }) else { return OTLPBytes.empty }
        for byte in span.traceID.prefix(16) {
            for digit in [byte >> 4, byte & 15] {
                scratch[end] = digit < 10 ? 0x30 + digit : 0x57 + digit
                end += 1
            }
        }
        return UnsafeRawBufferPointer(rebasing: scratch[32..<end])
    }
}
