import TextFormats
import Wire

/// Accessors for fields of the common types.
enum Fields {
    typealias Part = OTTLFrame.Part

    static func text(_ part: Part, _ field: Int) -> Accessor {
        Accessor(
            .string, get: { .text($0.message(part).bytes(field)) },
            set: { frame, value in
                let done: Void? = value.withText { frame.message(part).set(field, bytes: $0) }
                if done == nil { throw mismatch("string", value) }
            })
    }

    static func varint(_ part: Part, _ field: Int) -> Accessor {
        Accessor(
            .int, get: { .int(Int64(bitPattern: $0.message(part).varint(field))) },
            set: { frame, value in
                guard case .int(let number) = value else { throw mismatch("int", value) }
                frame.message(part).set(field, varint: UInt64(UInt32(truncatingIfNeeded: number)))
            })
    }

    static func fixed32(_ part: Part, _ field: Int) -> Accessor {
        Accessor(
            .int, get: { .int(Int64($0.message(part).fixed32(field))) },
            set: { frame, value in
                guard case .int(let number) = value else { throw mismatch("int", value) }
                frame.message(part).set(field, fixed32: UInt32(truncatingIfNeeded: number))
            })
    }

    static func fixed64(_ part: Part, _ field: Int) -> Accessor {
        Accessor(
            .int, get: { .int(Int64(bitPattern: $0.message(part).fixed64(field))) },
            set: { frame, value in
                guard case .int(let number) = value else { throw mismatch("int", value) }
                frame.message(part).set(field, fixed64: UInt64(bitPattern: number))
            })
    }

    static func time(_ part: Part, _ field: Int) -> Accessor {
        Accessor(
            .time,
            get: { .time(GoTime(unixNanoseconds: Int64(bitPattern: $0.message(part).fixed64(field)))) },
            set: { frame, value in
                guard case .time(let time) = value else { throw mismatch("time", value) }
                guard let nanoseconds = time.unixNanoseconds else { throw OTTLError("a time out of range") }
                frame.message(part).set(field, fixed64: UInt64(bitPattern: nanoseconds))
            })
    }

    /// A trace or span ID of `count` bytes; one that is missing is all zero.
    static func identifier(_ part: Part, _ field: Int, count: Int) -> Accessor {
        Accessor(
            .bytes,
            get: { frame in
                let bytes = frame.message(part).bytes(field)
                return bytes.isEmpty ? .ownData([UInt8](repeating: 0, count: count)) : .data(bytes)
            },
            set: { frame, value in
                guard let bytes = value.dataBytes else { throw mismatch("bytes", value) }
                try setIdentifier(frame.message(part), field, bytes, count)
            })
    }

    /// The same in hexadecimal digits.
    static func identifierText(_ part: Part, _ field: Int, count: Int) -> Accessor {
        Accessor(
            .string,
            get: { frame in
                let bytes = frame.message(part).bytes(field)
                return .string(bytes.isEmpty ? String(repeating: "00", count: count) : OTLPBytes.hex(bytes))
            },
            set: { frame, value in
                guard let text = value.textBytes else { throw mismatch("string", value) }
                guard let bytes = Hex.decode(text) else { throw OTTLError("an ID is written in hexadecimal digits") }
                try setIdentifier(frame.message(part), field, bytes, count)
            })
    }

    private static func setIdentifier(_ message: OTLPMessage, _ field: Int, _ bytes: [UInt8], _ count: Int) throws {
        guard bytes.count == count else { throw OTTLError("an ID here has \(count) bytes, not \(bytes.count)") }
        if bytes.allSatisfy({ $0 == 0 }) { return message.remove(field) }
        bytes.withRawBytes { message.set(field, bytes: $0) }
    }

    static func attributes(_ part: Part, _ keys: Keys?) -> Accessor {
        guard let keys else {
            return Accessor(
                .map, get: { .attributes($0.message(part).attributes) },
                set: { frame, value in
                    guard let map = value.entries else { throw mismatch("map", value) }
                    frame.message(part).attributes.replaceAll(with: map)
                }, attributes: { $0.message(part).attributes })
        }
        if case .fixed(let steps) = keys, steps.count == 1, case .key(let key) = steps[0] {
            return Accessor(
                .any, get: { Datum($0.message(part).attributes[key]) },
                set: { try Indexing.set($0.message(part).attributes, steps, $1) })
        }
        return Accessor(
            .any,
            get: { frame in try Indexing.value(.attributes(frame.message(part).attributes), keys.steps(frame)) },
            set: { frame, value in
                let steps = try keys.steps(frame)
                guard case .key? = steps.first else { throw OTTLError("attributes have string keys") }
                try Indexing.set(frame.message(part).attributes, steps, value)
            })
    }

    /// A field of type `AnyValue`.
    static func value(_ part: Part, _ field: Int, _ keys: Keys?) -> Accessor {
        guard let keys else {
            return Accessor(
                .any, get: { Datum($0.message(part).value(field)) },
                set: { frame, value in
                    if let plain = value.inPlace { return frame.message(part).set(field, value: plain) }
                    frame.message(part).set(field, value: try value.stored())
                })
        }
        return Accessor(
            .any, get: { frame in try Indexing.value(Datum(frame.message(part).value(field)), keys.steps(frame)) },
            set: { frame, value in
                var tree = frame.message(part).value(field).map { OTLPAnyValue($0) } ?? .empty
                try Indexing.set(&tree, keys.steps(frame), value)
                frame.message(part).set(field, value: tree)
            })
    }

    static func cache(_ keys: Keys?) -> Accessor {
        guard let keys else {
            return Accessor(
                .map, get: { .ownMap($0.cache) },
                set: { frame, value in
                    guard let map = value.entries else { throw mismatch("map", value) }
                    frame.cache = map
                })
        }
        return Accessor(
            .any, get: { frame in try Indexing.value(.ownMap(frame.cache), keys.steps(frame)) },
            set: { frame, value in
                var tree = OTLPAnyValue.map(frame.cache)
                try Indexing.set(&tree, keys.steps(frame), value)
                if case .map(let map) = tree { frame.cache = map }
            })
    }

    /// A repeated or single message field as a whole.
    static func messages(_ part: Part, _ field: Int, _ kind: Datum.MessageKind) -> Accessor {
        Accessor(
            .messages,
            get: { frame in
                var list: [[UInt8]] = []
                frame.message(part).forEachMessage(field) { list.append(Array($0)) }
                return .messages(kind, list)
            },
            set: { frame, value in
                guard case .messages(kind, let list) = value else { throw mismatch(kind.rawValue, value) }
                let message = frame.message(part)
                message.remove(field)
                for content in list { content.withRawBytes { message.append(field, message: $0) } }
            })
    }

    static func mismatch(_ wanted: String, _ value: Datum) -> OTTLError {
        OTTLError("expected \(wanted) but got \(value.typeName)")
    }
}

/// A word for each number of an enumeration.
struct Symbols: Sendable {
    let names: [String]

    /// The field as the words, which may be set by them.
    func accessor(_ part: OTTLFrame.Part, _ field: Int) -> Accessor {
        Accessor(
            .string,
            get: { frame in
                let number = frame.message(part).varint(field)
                return .string(number < UInt64(names.count) ? names[Int(number)] : "")
            },
            set: { frame, value in
                let text = try value.requireString("value")
                guard let number = names.firstIndex(of: text) else {
                    throw OTTLError("\"\(text)\" is not one of \(names.joined(separator: ", "))")
                }
                frame.message(part).set(field, varint: UInt64(number))
            })
    }
}
