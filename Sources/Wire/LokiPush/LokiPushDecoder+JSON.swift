import Telemetry

extension LokiPushDecoder {
    /// Reads a JSON push request: `{"streams": [{"stream": {...}, "values": [["<ns>", "<line>", {...}], ...]}]}`.
    ///
    /// Follows upstream's `loghttp`: label values need not be strings, unknown members are ignored, a null in place of
    /// the values or of one value is none.
    package mutating func decodeJSON(_ bytes: UnsafeRawBufferPointer) throws(LokiPushError) -> LokiPush {
        guard bytes.count <= limits.maximumBytes else {
            throw .tooLarge("request of \(bytes.count) bytes is larger than \(limits.maximumBytes)")
        }
        var push = LokiPush()
        var cursor = JSONCursor(bytes)
        try cursor.object { (cursor, key) throws(LokiPushError) in
            guard key.equalsIgnoringCase("streams") else { return try cursor.skipValue() }
            if try cursor.skipNull() { return }
            try cursor.array { (cursor) throws(LokiPushError) in
                if try cursor.skipNull() { return }
                try self.decodeJSONStream(&cursor, into: &push)
            }
        }
        return push
    }

    private mutating func decodeJSONStream(
        _ cursor: inout JSONCursor, into push: inout LokiPush
    ) throws(LokiPushError) {
        // The values may come before the labels: note where they are and read them afterwards.
        var hasLabels = false
        var values: JSONCursor?
        builder.reset()
        try cursor.object { (cursor, key) throws(LokiPushError) in
            if key.equals("stream") {
                hasLabels = true
                try self.decodeJSONLabels(&cursor)
            } else if key.equals("values") {
                values = cursor
                try cursor.skipValue()
            } else {
                try cursor.skipValue()
            }
        }
        guard push.batch.streams.count < limits.maximumStreams else {
            throw .tooLarge("more than \(limits.maximumStreams) streams")
        }
        push.batch.streams.append(builder.finish())
        let stream = Int32(push.batch.streams.count - 1)
        let before = push.batch.entries.count
        if var values, try !values.skipNull() {
            try values.array { (cursor) throws(LokiPushError) in
                if try cursor.skipNull() { return }
                guard push.batch.entries.count < self.limits.maximumEntries else {
                    throw .tooLarge("more than \(self.limits.maximumEntries) entries")
                }
                try self.decodeJSONEntry(&cursor, stream: stream, into: &push.batch)
            }
        }
        if !hasLabels {
            // As upstream: the labels are an empty text, which is no label set.
            push.skippedEntries += push.batch.entries.count - before
            push.batch.entries.removeSubrange(before...)
            push.batch.streams.removeLast()
            push.streamError = .malformed("stream without labels")
        }
    }

    private mutating func decodeJSONLabels(_ cursor: inout JSONCursor) throws(LokiPushError) {
        builder.reset()
        var count = 0
        try cursor.object { (cursor, key) throws(LokiPushError) in
            count += 1
            guard count <= self.limits.maximumLabels else {
                throw .tooLarge("more than \(self.limits.maximumLabels) labels in a stream")
            }
            var name: [UInt8] = []
            try key.unescape(into: &name)
            var value: [UInt8] = []
            if cursor.isAtString {
                try cursor.string().unescape(into: &value)
            } else {
                value.append(contentsOf: try cursor.rawValue())
            }
            name.withUnsafeBytes { name in value.withUnsafeBytes { self.builder.set(name, to: $0) } }
        }
    }

    private mutating func decodeJSONEntry(
        _ cursor: inout JSONCursor, stream: Int32, into batch: inout LogBatch
    ) throws(LokiPushError) {
        var index = 0
        var timestamp: Int64 = 0
        var metadata = LabelSet.empty
        let offset = batch.arena.count
        try cursor.array { (cursor) throws(LokiPushError) in
            switch index {
            case 0:
                guard cursor.isAtString else { throw cursor.failure("expected a timestamp in a string") }
                guard let value = try cursor.string().integer else {
                    throw cursor.failure("expected a timestamp in nanoseconds")
                }
                timestamp = value
            case 1:
                guard cursor.isAtString else { throw cursor.failure("expected a line in a string") }
                try cursor.string().unescape(into: &batch.arena)
            case 2:
                metadata = try self.decodeJSONMetadata(&cursor)
            default:
                try cursor.skipValue()
            }
            index += 1
        }
        guard index > 0 else { throw cursor.failure("value without a timestamp") }
        batch.entries.append(
            LogEntry(
                stream: stream, timestamp: timestamp, lineOffset: offset, lineLength: batch.arena.count - offset,
                metadata: metadata))
    }

    private mutating func decodeJSONMetadata(_ cursor: inout JSONCursor) throws(LokiPushError) -> LabelSet {
        var count = 0
        builder.reset()
        try cursor.object { (cursor, key) throws(LokiPushError) in
            count += 1
            guard count <= self.limits.maximumLabels else {
                throw .tooLarge("more than \(self.limits.maximumLabels) pairs of structured metadata")
            }
            guard cursor.isAtString else { throw cursor.failure("expected structured metadata in a string") }
            var name: [UInt8] = []
            try key.unescape(into: &name)
            var value: [UInt8] = []
            try cursor.string().unescape(into: &value)
            name.withUnsafeBytes { name in value.withUnsafeBytes { self.builder.set(name, to: $0) } }
        }
        return builder.finish()
    }
}
