package import AlloySyntax
import ComponentKit
package import Essentials
import Telemetry
import TextFormats
import Transport

extension LokiWrite {
    package struct Arguments: Block, Sendable {
        let plan: Plan
        let externalLabels: LabelSet

        package init(from block: inout BlockReader) {
            let endpoints: [EndpointArguments] = block.blocks("endpoint", "A place that entries are sent to.")
            externalLabels = block.optional(
                "external_labels", default: [:], "Labels added to every entry that does not have them.")
            let maximumStreams = block.optional(
                "max_streams", default: 0, "Streams in one request; entries of further ones are dropped. 0 is no limit."
            )
            let wal: WALArguments? = block.optionalBlock(
                "wal", "Whether entries are kept on disk until they are sent.")
            if maximumStreams < 0 { block.reject("max_streams", "must not be negative") }
            var settings = endpoints.compactMap(\.settings)
            for index in settings.indices { settings[index].maximumStreams = maximumStreams }
            if endpoints.isEmpty, !block.isSet("endpoint") {
                block.reject("at least one endpoint config must be provided")
            }
            for (index, endpoint) in settings.enumerated() {
                let isDuplicate = settings[..<index].contains { other in
                    endpoint.name.isEmpty ? other == endpoint : other.name == endpoint.name
                }
                if isDuplicate {
                    block.reject(
                        "duplicate endpoint configs are not allowed, found duplicate for name: \(endpoint.name)")
                }
            }
            plan = Plan(endpoints: settings, wal: wal.flatMap { $0.isEnabled ? $0.settings : nil })
        }
    }

    /// What cannot change without starting to send anew.
    struct Plan: Sendable, Equatable {
        var endpoints: [EndpointSettings]
        var wal: WALSettings?
    }

    struct WALSettings: Sendable, Equatable {
        var maximumSegmentAge: Duration
        var drainTimeout: Duration
    }

    struct EndpointSettings: Sendable, Equatable {
        var name: String
        var url: HTTPURL
        var batchWait: Duration
        var batchSize: Int
        var remoteTimeout: Duration
        /// Sorted by name.
        var headers: [HeaderField]
        var minimumBackoff: Duration
        var maximumBackoff: Duration
        /// 0 is no limit.
        var maximumAttempts: Int
        var tenantID: String
        var retriesOnTooManyRequests: Bool
        var client: HTTPClientSettings
        /// Full batches that may wait in one shard.
        var queuedBatches: Int
        var shards: Int
        var drainTimeout: Duration
        var blocksOnOverflow: Bool
        var maximumStreams = 0
    }

    struct HeaderField: Sendable, Equatable {
        var name: String
        var value: String
    }

    struct EndpointArguments: Block, Sendable {
        let settings: EndpointSettings?

        init(from block: inout BlockReader) {
            let name = block.optional("name", default: "", "Name of the endpoint, for its queue on disk.")
            let urlText: String = block.required("url", "URL that requests are posted to.")
            let batchWait = block.optional(
                "batch_wait", default: Duration.seconds(1), "Longest time entries wait for a request to fill.")
            let batchSize = block.optional(
                "batch_size", default: ByteCount.mebibytes(1), "Size of lines from which on a request is full.")
            let remoteTimeout = block.optional(
                "remote_timeout", default: Duration.seconds(10), "Time a request may take.")
            let headers: [String: String] = block.optional("headers", "Header fields added to every request.") ?? [:]
            let minimumBackoff = block.optional(
                "min_backoff_period", default: Duration.milliseconds(500), "Wait before the first repetition.")
            let maximumBackoff = block.optional(
                "max_backoff_period", default: Duration.seconds(300), "Longest wait between repetitions.")
            let maximumAttempts = block.optional(
                "max_backoff_retries", default: 10, "Attempts after which a request is dropped. 0 is no limit.")
            let tenantID = block.optional("tenant_id", default: "", "Tenant of entries that do not name their own.")
            let retriesOnTooManyRequests = block.optional(
                "retry_on_http_429", default: true, "Whether requests answered with 429 are repeated.")
            let client = HTTPClientArguments(from: &block)
            let queue: QueueArguments = block.block(
                "queue_config", "How requests wait to be sent.", stability: .experimental)
            if batchWait < .zero { block.reject("batch_wait", "must not be negative") }
            if batchSize.bytes < 1 { block.reject("batch_size", "must be at least 1B") }
            if maximumAttempts < 0 { block.reject("max_backoff_retries", "must not be negative") }
            var fields: [HeaderField] = []
            for (name, value) in headers.sorted(by: { $0.key < $1.key }) {
                if !HTTPFields.isValid(name: name, value: value) {
                    block.reject("headers", "has an invalid field: \(name)")
                }
                fields.append(HeaderField(name: name, value: value))
            }
            guard let url = HTTPURL(urlText), url.scheme == "http" || url.scheme == "https" else {
                if block.isSet("url"), !urlText.isEmpty || block.isSet("url") {
                    block.reject("url", "is no URL of HTTP: \(GoQuote.quote(urlText))")
                }
                settings = nil
                return
            }
            settings = EndpointSettings(
                name: name, url: url, batchWait: batchWait, batchSize: max(batchSize.bytes, 1),
                remoteTimeout: remoteTimeout, headers: fields, minimumBackoff: minimumBackoff,
                maximumBackoff: maximumBackoff, maximumAttempts: maximumAttempts, tenantID: tenantID,
                retriesOnTooManyRequests: retriesOnTooManyRequests, client: client.settings,
                queuedBatches: max(queue.capacity.bytes / max(batchSize.bytes, 1), 1), shards: queue.shards,
                drainTimeout: queue.drainTimeout, blocksOnOverflow: queue.blocksOnOverflow)
        }
    }

    struct QueueArguments: Block, Sendable {
        let capacity: ByteCount
        let shards: Int
        let drainTimeout: Duration
        let blocksOnOverflow: Bool

        init(from block: inout BlockReader) {
            capacity = block.optional(
                "capacity", default: ByteCount.mebibytes(10), "Size of the full requests that may wait in a shard.")
            let shards = block.optional("min_shards", default: 1, "Requests sent at a time.")
            drainTimeout = block.optional(
                "drain_timeout", default: Duration.seconds(15), "Time for sending what waits when stopping.")
            blocksOnOverflow = block.optional(
                "block_on_overflow", default: true,
                "Whether senders wait when the queue is full; else entries are dropped.")
            if shards > 1024 { block.reject("min_shards", "must be at most 1024") }
            self.shards = min(max(shards, 1), 1024)
        }
    }

    struct WALArguments: Block, Sendable {
        let isEnabled: Bool
        let settings: WALSettings

        init(from block: inout BlockReader) {
            isEnabled = block.optional("enabled", default: false, "Whether entries are written to disk first.")
            let age = block.optional(
                "max_segment_age", default: Duration.seconds(3600),
                "Age at which entries that were not sent are dropped.")
            let (usualMinimum, usualMaximum) = (Duration.milliseconds(250), Duration.seconds(1))
            let minimum = block.optional(
                "min_read_frequency", default: usualMinimum,
                "Shortest time between two reads upstream; here entries are read as soon as they are written.")
            let maximum = block.optional(
                "max_read_frequency", default: usualMaximum,
                "Longest time between two reads upstream; here entries are read as soon as they are written.")
            let drainTimeout = block.optional(
                "drain_timeout", default: Duration.seconds(15), "Time for reading the rest when stopping.")
            if minimum >= maximum {
                block.reject("min_read_frequency", "WAL min read frequency should be lower than max read frequency")
            }
            let unused = [
                ("min_read_frequency", minimum != usualMinimum), ("max_read_frequency", maximum != usualMaximum),
            ]
            for (name, isChanged) in unused where isChanged {
                block.warn(name, "has no effect: entries are read as soon as they are written")
            }
            if age <= .zero { block.reject("max_segment_age", "must be greater than 0") }
            settings = WALSettings(maximumSegmentAge: age, drainTimeout: drainTimeout)
        }
    }
}

extension LokiWrite.Arguments: MemoryDemanding {
    /// For each shard a batch being filled and one being sent, and a window of the queue on disk.
    package var minimumMemory: ByteCount {
        let batches = plan.endpoints.reduce(0) { $0 + $1.shards * 2 * min($1.batchSize, 1 << 40) }
        return ByteCount(bytes: batches + (plan.wal == nil ? 0 : 1 << 20))
    }
}
