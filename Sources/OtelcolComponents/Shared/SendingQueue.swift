import AlloySyntax
import Essentials
import Storage
import Telemetry

/// What a queue counts.
enum QueueSizer: String, AlloyWord {
    case requests, items, bytes
    static var placeholder: QueueSizer { .requests }

    func size(of batch: OTLPBatch) -> Int {
        switch self {
        case .requests: 1
        case .items: batch.itemCount
        case .bytes: batch.byteCount
        }
    }

    func size(of record: SegmentRecord) -> Int {
        switch self {
        case .requests: 1
        case .items: record.items
        case .bytes: record.payload.count
        }
    }
}

/// The `sending_queue` block of exporters.
struct SendingQueue: Block, Sendable, Equatable {
    /// The `batch` block in it.
    struct Batching: Block, Sendable, Equatable {
        let flushTimeout: Duration
        let minimumSize: Int
        let maximumSize: Int
        let sizer: QueueSizer

        init(from block: inout BlockReader) {
            flushTimeout = block.optional(
                "flush_timeout", default: .milliseconds(200), "Time after which a batch is sent whatever its size.")
            minimumSize = block.optional("min_size", default: 2000, "Size from which a batch is sent.")
            maximumSize = block.optional("max_size", default: 3000, "Size above which a batch is split; 0 is no limit.")
            sizer = block.optional("sizer", default: .items, "What sizes count: `items` or `bytes`.")
            if sizer == .requests { block.reject("sizer", "must be one of items, bytes") }
            if flushTimeout <= .zero { block.reject("flush_timeout", "must be greater than zero") }
            if minimumSize < 0 { block.reject("min_size", "must not be negative") }
            if maximumSize < 0 { block.reject("max_size", "must not be negative") }
            if maximumSize > 0, maximumSize < minimumSize {
                block.reject("max_size", "must be greater than or equal to min_size")
            }
        }
    }

    let isEnabled: Bool
    let consumers: Int
    let capacity: Int
    let blocksOnOverflow: Bool
    let sizer: QueueSizer
    let waitsForResult: Bool
    let storage: StorageHandler?
    let batching: Batching?

    init(from block: inout BlockReader) {
        isEnabled = block.optional("enabled", default: true, "Whether batches wait in a queue before they are sent.")
        consumers = block.optional("num_consumers", default: 10, "Batches sent at the same time.")
        capacity = block.optional("queue_size", default: 1000, "Room in the queue, in the unit of `sizer`.")
        blocksOnOverflow = block.optional(
            "block_on_overflow", default: false, "Whether senders wait for room instead of being refused.")
        sizer = block.optional("sizer", default: .requests, "What `queue_size` counts: `requests`, `items` or `bytes`.")
        waitsForResult = block.optional(
            "wait_for_result", default: false, "Whether senders wait until their batch was sent.")
        storage = block.optional("storage", "Handler of an `otelcol.storage` component that keeps the queue on disk.")
        batching = block.optionalBlock("batch", "Batches are joined in the queue before they are sent.")
        if isEnabled {
            if consumers <= 0 { block.reject("num_consumers", "must be greater than zero") }
            if capacity <= 0 { block.reject("queue_size", "must be greater than zero") }
            if storage != nil, waitsForResult {
                block.reject("wait_for_result", "is not supported with a persistent queue configured with storage")
            }
            if let batching, batching.minimumSize > capacity, batching.sizer == sizer {
                block.reject("batch", "min_size must be less than or equal to queue_size")
            }
        }
    }

    /// No queue: senders wait until their batch was sent.
    static let disabled = SendingQueue()

    private init() {
        isEnabled = false
        consumers = 0
        capacity = 0
        blocksOnOverflow = false
        sizer = .requests
        waitsForResult = false
        storage = nil
        batching = nil
    }

    static func read(from block: inout BlockReader) -> SendingQueue {
        block.block("sending_queue", "How batches wait to be sent.")
    }

    /// Warns where the queue loses what the exporter's `auth` wants to send.
    func check(against auth: AuthHandler?, _ block: inout BlockReader) {
        guard isEnabled, storage != nil, let auth, auth.sendsClientAttributes else { return }
        block.warn(
            "sending_queue",
            "a queue on disk does not keep what clients were authenticated as, so that from_attribute of "
                + "\(auth.component) has no value")
    }
}

/// The `retry_on_failure` block of exporters.
struct RetryOnFailure: Block, Sendable, Equatable {
    let isEnabled: Bool
    let initialInterval: Duration
    let randomizationFactor: Double
    let multiplier: Double
    let maximumInterval: Duration
    /// Zero is without limit.
    let maximumElapsedTime: Duration

    init(from block: inout BlockReader) {
        isEnabled = block.optional("enabled", default: true, "Whether failed requests are sent again.")
        initialInterval = block.optional(
            "initial_interval", default: .seconds(5), "Time before the first request is sent again.")
        randomizationFactor = block.optional(
            "randomization_factor", default: 0.5, "Share of the time that is left to chance.")
        multiplier = block.optional("multiplier", default: 1.5, "What the time grows by with each attempt.")
        maximumInterval = block.optional("max_interval", default: .seconds(30), "Longest time between attempts.")
        maximumElapsedTime = block.optional(
            "max_elapsed_time", default: .seconds(300), "Time after which a batch is given up; 0 is never.")
        if isEnabled {
            if multiplier <= 1 { block.reject("multiplier", "must be greater than 1.0") }
            if randomizationFactor < 0 || randomizationFactor > 1 {
                block.reject("randomization_factor", "must be between 0 and 1")
            }
            if initialInterval < .zero { block.reject("initial_interval", "must not be negative") }
            if maximumInterval < .zero { block.reject("max_interval", "must not be negative") }
            if maximumElapsedTime < .zero { block.reject("max_elapsed_time", "must not be negative") }
            if maximumElapsedTime > .zero, maximumElapsedTime < initialInterval || maximumElapsedTime < maximumInterval
            {
                block.reject("max_elapsed_time", "must not be less than initial_interval or max_interval")
            }
        }
    }

    /// A failed request is not sent again.
    static let disabled = RetryOnFailure()

    private init() {
        isEnabled = false
        initialInterval = .zero
        randomizationFactor = 0
        multiplier = 1
        maximumInterval = .zero
        maximumElapsedTime = .zero
    }

    static func read(from block: inout BlockReader) -> RetryOnFailure {
        block.block("retry_on_failure", "When failed requests are sent again.")
    }
}

/// The waiting times of one batch.
struct RetrySchedule: Sendable {
    private let settings: RetryOnFailure
    private var interval: Double
    private let started: Int64

    init(_ settings: RetryOnFailure, now: Int64) {
        self.settings = settings
        interval = Double(settings.initialInterval.nanoseconds)
        started = now
    }

    /// The wait before the next attempt, nil when the batch is to be given up. `atLeast` is what the destination asked for.
    mutating func next(now: Int64, atLeast: Duration?) -> Duration? {
        guard settings.isEnabled else { return nil }
        let spread = settings.randomizationFactor * interval
        var wait = interval - spread + Double.random(in: 0...1) * 2 * spread
        interval = min(interval * settings.multiplier, Double(settings.maximumInterval.nanoseconds))
        if let atLeast { wait = max(wait, Double(atLeast.nanoseconds)) }
        let limit = settings.maximumElapsedTime
        let waited = Duration.nanoseconds(Int64(min(wait, 9e18)))
        if limit > .zero, Duration.nanoseconds(now - started) + waited > limit { return nil }
        return waited
    }
}
