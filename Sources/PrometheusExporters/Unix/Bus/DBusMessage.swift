/// A message of a bus.
///
/// Source of the format: D-Bus Specification 0.43, "Message Protocol".
struct DBusMessage {
    let isReply: Bool
    let isError: Bool
    /// The serial of the call it answers.
    private(set) var answered: UInt64?
    private(set) var errorName = ""
    /// Only of replies.
    private(set) var values: [DBusValue] = []

    /// Takes the sixteen bytes every message begins with, the fields of its header without padding, and its body.
    init(head: [UInt8], fields: ArraySlice<UInt8>, body: [UInt8]) throws {
        isError = head[1] == 3
        isReply = head[1] == 2 || isError
        var signature = ""
        // The array of fields begins with its length, which its alignment counts.
        let entries = try (Array(head[12..<16]) + fields).withUnsafeBytes { bytes in
            // Fields are aligned to eight from the message's beginning, of which sixteen bytes are before them.
            var reader = DBusReader(Bytes(rebasing: bytes[4...]))
            var entries: [[DBusValue]] = []
            while reader.position < reader.bytes.count {
                guard let entry = try reader.values("(yv)").first?.list else { break }
                entries.append(entry)
            }
            return entries
        }
        for entry in entries where entry.count == 2 {
            switch entry[0].unsigned {
            case 4: errorName = entry[1].string ?? ""
            case 5: answered = entry[1].unsigned
            case 8: signature = entry[1].string ?? ""
            default: break
            }
        }
        guard isReply else { return }
        values = try body.withUnsafeBytes { bytes in
            var reader = DBusReader(bytes)
            return try reader.values(signature)
        }
    }
}
