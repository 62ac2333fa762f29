import CKafka
import Essentials
import Synchronization
import Telemetry
import TextFormats
import Transport

/// Writes records with librdkafka, whose own threads talk to the brokers.
///
/// Copies of records wait in the library, at most what ``write(_:client:)`` has booked of the memory budget. Each record
/// is tried for the time of one attempt; repeating is the caller's.
final class KafkaProducer: Sendable {
    private let handle: Handle
    private let callbacks: KafkaCallbacks
    private let tokens: KafkaTokens?
    private let settings: KafkaProducerSettings
    private let memory: MemoryAccount
    private let blocking: BlockingPool
    /// Topics known to exist, where none may be created.
    private let topics = Mutex<Set<String>>([])

    /// A pointer that may be used on any thread, as librdkafka has it.
    private struct Handle: @unchecked Sendable {
        let pointer: OpaquePointer
    }

    /// Makes a producer; it connects by itself. Throws where the library refuses the settings.
    init(
        _ settings: KafkaProducerSettings, log: Log, memory: MemoryAccount, blocking: BlockingPool,
        tokens: KafkaTokens? = nil
    ) throws(KafkaError) {
        self.settings = settings
        self.memory = memory
        self.blocking = blocking
        self.tokens = tokens
        callbacks = KafkaCallbacks(log: log, strategy: settings.partitioner.strategy, tokens: tokens)
        let configuration = KafkaConfiguration()
        try configuration.apply(settings)
        handle = Handle(pointer: try configuration.makeProducer(callbacks))
    }

    /// Writes records and waits until brokers have acknowledged each or the attempt is over.
    func write(_ records: [KafkaRecord], client: OTLPClient?) async throws(ExportError) -> ExportReport {
        if records.isEmpty { return .complete }
        if !settings.createsTopics { try await requireTopics(Set(records.map(\.topic))) }
        let bytes = records.reduce(0) { $0 + $1.value.count + ($1.key?.count ?? 0) }
        guard memory.reserve(bytes) else { throw .retryable("no memory for the records", after: nil) }
        defer { memory.release(bytes) }
        let delivery = KafkaDelivery(records.map(\.itemCount))
        for (index, record) in records.enumerated() {
            let ticket = Unmanaged.passRetained(KafkaTicket(delivery: delivery, index: index))
            let code = produce(record, client, ticket.toOpaque())
            if code != RD_KAFKA_RESP_ERR_NO_ERROR {
                ticket.release()
                delivery.finish(index, code)
            }
        }
        let outcome = await delivery.outcome()
        if let failure = outcome.retryable { throw .retryable(Self.describe(failure), after: nil) }
        guard let failure = outcome.permanent else { return .complete }
        if outcome.refusedItems == records.reduce(0, { $0 + $1.itemCount }) { throw .permanent(Self.describe(failure)) }
        return ExportReport(rejectedItems: outcome.refusedItems, message: Self.describe(failure))
    }

    private func produce(
        _ record: KafkaRecord, _ client: OTLPClient?, _ opaque: UnsafeMutableRawPointer
    ) -> rd_kafka_resp_err_t {
        let headers = makeHeaders(client)
        let code = record.value.withUnsafeBytes { value in
            let base = value.baseAddress ?? UnsafeRawPointer(Self.nothing)
            guard let key = record.key else {
                return invar_kafka_produce(handle.pointer, record.topic, base, value.count, nil, 0, headers, opaque)
            }
            return key.withUnsafeBytes { key in
                invar_kafka_produce(
                    handle.pointer, record.topic, base, value.count, key.baseAddress, key.count, headers, opaque)
            }
        }
        if code != RD_KAFKA_RESP_ERR_NO_ERROR, let headers { rd_kafka_headers_destroy(headers) }
        return code
    }

    /// What an empty value points to: a null value would delete the key of a compacted topic.
    private nonisolated(unsafe) static let nothing = UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1)

    private func makeHeaders(_ client: OTLPClient?) -> OpaquePointer? {
        guard let client, !settings.headers.isEmpty else { return nil }
        var headers: OpaquePointer?
        for name in settings.headers {
            for value in client.values(of: name) {
                if headers == nil { headers = rd_kafka_headers_new(settings.headers.count) }
                rd_kafka_header_add(headers, name, name.utf8.count, value, value.utf8.count)
            }
        }
        return headers
    }

    private static func describe(_ code: rd_kafka_resp_err_t) -> String {
        "Kafka: \(String(cString: rd_kafka_err2str(code)))"
    }

    // MARK: Topics

    /// Asks for the list of topics when one is not known; asking for a topic by name might create it.
    private func requireTopics(_ wanted: Set<String>) async throws(ExportError) {
        if topics.withLock({ wanted.isSubset(of: $0) }) { return }
        let (handle, timeout) = (handle, Int32(clamping: max(settings.timeout, .seconds(1)).nanoseconds / 1_000_000))
        let listed: Set<String>
        do {
            listed = try await blocking.run { try Self.listTopics(handle.pointer, timeout) }
        } catch {
            throw .retryable("\(error)", after: nil)
        }
        topics.withLock { $0 = listed }
        if let missing = wanted.subtracting(listed).min() {
            throw .retryable("Kafka: there is no topic \(missing), and allow_auto_topic_creation is off", after: nil)
        }
    }

    private static func listTopics(_ handle: OpaquePointer, _ timeout: Int32) throws(KafkaError) -> Set<String> {
        var metadata: UnsafePointer<rd_kafka_metadata>?
        let code = rd_kafka_metadata(handle, 1, nil, &metadata, timeout)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let metadata else { throw KafkaError(describe(code)) }
        defer { rd_kafka_metadata_destroy(metadata) }
        let list = UnsafeBufferPointer(start: metadata.pointee.topics, count: Int(metadata.pointee.topic_cnt))
        return Set(list.map { String(cString: $0.topic) })
    }

    // MARK: End

    /// Ends the library's threads; nothing may be written after it.
    func close() {
        tokens?.close()
        let (handle, callbacks) = (handle, callbacks)
        // Joining the threads takes a moment, and no record is under way any more.
        Task { [blocking] in
            try? await blocking.run {
                rd_kafka_destroy(handle.pointer)
                withExtendedLifetime(callbacks) {}
            }
        }
    }
}

/// Why the library does not work, in its words.
struct KafkaError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

// MARK: - Delivery

/// A record under way.
final class KafkaTicket: Sendable {
    let delivery: KafkaDelivery
    let index: Int

    init(delivery: KafkaDelivery, index: Int) {
        self.delivery = delivery
        self.index = index
    }
}

/// The records of one batch: done when each is acknowledged or given up.
final class KafkaDelivery: Sendable {
    struct Outcome: Sendable {
        /// Why a record may be taken later; nil when none failed so.
        var retryable: rd_kafka_resp_err_t?
        /// Why a record never will be.
        var permanent: rd_kafka_resp_err_t?
        var refusedItems = 0
    }

    private struct State {
        var left: Int
        var outcome = Outcome()
        var waiter: CheckedContinuation<Outcome, Never>?
    }

    private let itemCounts: [Int]
    private let state: Mutex<State>

    init(_ itemCounts: [Int]) {
        self.itemCounts = itemCounts
        state = Mutex(State(left: itemCounts.count))
    }

    func finish(_ index: Int, _ code: rd_kafka_resp_err_t) {
        let done: (CheckedContinuation<Outcome, Never>, Outcome)? = state.withLock { state in
            if Self.isPermanent(code) {
                state.outcome.permanent = code
                state.outcome.refusedItems += itemCounts[index]
            } else if code != RD_KAFKA_RESP_ERR_NO_ERROR {
                state.outcome.retryable = code
            }
            state.left -= 1
            guard state.left == 0, let waiter = state.waiter else { return nil }
            state.waiter = nil
            return (waiter, state.outcome)
        }
        if let (waiter, outcome) = done { waiter.resume(returning: outcome) }
    }

    func outcome() async -> Outcome {
        await withCheckedContinuation { continuation in
            let finished: Outcome? = state.withLock { state in
                if state.left == 0 { return state.outcome }
                state.waiter = continuation
                return nil
            }
            if let finished { continuation.resume(returning: finished) }
        }
    }

    private static func isPermanent(_ code: rd_kafka_resp_err_t) -> Bool {
        switch code {
        case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_INVALID_MSG, RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE,
            RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
            RD_KAFKA_RESP_ERR_INVALID_RECORD, RD_KAFKA_RESP_ERR__INVALID_ARG:
            true
        default: false
        }
    }
}
