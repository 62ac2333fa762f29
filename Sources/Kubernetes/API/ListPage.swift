import TextFormats

/// One page of a list (meta/v1, `ListMeta`).
struct ListPage<Object: KubernetesObject> {
    var objects: [Object] = []
    var version = ""
    /// Asks for the next page; empty on the last.
    var continuation = ""

    init(_ bytes: [UInt8], _ texts: inout TextTable) throws(KubernetesError) {
        var page = ([Object](), "", "")
        do {
            try bytes.span.bytes.withUnsafeBytes { (raw) throws(TextFormatError) in
                var cursor = JSONCursor(raw)
                try Self.read(&cursor, &texts, &page)
                try cursor.finish()
            }
        } catch {
            throw .malformed("\(error)")
        }
        (objects, version, continuation) = page
    }

    private static func read(
        _ cursor: inout JSONCursor, _ texts: inout TextTable, _ page: inout ([Object], String, String)
    ) throws(TextFormatError) {
        guard try cursor.enterObject() else { throw TextFormatError("a list is expected") }
        while let member = try cursor.nextMember() {
            switch member {
            case "metadata":
                guard try cursor.enterObject() else { continue }
                while let member = try cursor.nextMember() {
                    switch member {
                    case "resourceVersion": page.1 = try cursor.string() ?? ""
                    case "continue": page.2 = try cursor.string() ?? ""
                    default: break
                    }
                }
            case "items":
                guard try cursor.enterArray() else { continue }
                while try cursor.nextElement() { page.0.append(try Object(&cursor, &texts)) }
            default: break
            }
        }
    }
}

/// One event of a watch.
enum WatchEvent<Object: KubernetesObject> {
    case added(Object)
    case modified(Object)
    case deleted(Object)
    /// Nothing but a version to go on from.
    case bookmark(version: String)
    case failed(KubernetesError)

    /// Reads a line of a watch; nil for an event of a type that is not known.
    init?(_ line: UnsafeRawBufferPointer, _ texts: inout TextTable) throws(KubernetesError) {
        do throws(TextFormatError) {
            guard let event = try Self.read(line, &texts) else { return nil }
            self = event
        } catch {
            throw .malformed("\(error)")
        }
    }

    private static func read(
        _ line: UnsafeRawBufferPointer, _ texts: inout TextTable
    ) throws(TextFormatError) -> WatchEvent? {
        var cursor = JSONCursor(line)
        var type = ""
        var object: Object?
        var content: UnsafeRawBufferPointer?
        guard try cursor.enterObject() else { throw TextFormatError("an event is expected") }
        while let member = try cursor.nextMember() {
            switch member {
            case "type": type = try cursor.string() ?? ""
            case "object":
                // The type comes first, so that nearly every object is read where it stands.
                if Self.isChange(type) {
                    object = try Object(&cursor, &texts)
                } else {
                    content = try cursor.raw()
                }
            default: break
            }
        }
        try cursor.finish()
        if object == nil, let content, isChange(type) {
            var late = JSONCursor(content)
            object = try Object(&late, &texts)
        }
        switch (type, object, content) {
        case ("ADDED", let object?, _): return .added(object)
        case ("MODIFIED", let object?, _): return .modified(object)
        case ("DELETED", let object?, _): return .deleted(object)
        case ("BOOKMARK", _, let content?): return .bookmark(version: try ObjectMetadata.version(of: content))
        case ("ERROR", _, let content?):
            return .failed(KubernetesError(code: 500, body: Array(content), retryAfter: nil))
        case (_, nil, nil): throw TextFormatError("an event has no object")
        default: return nil
        }
    }

    private static func isChange(_ type: String) -> Bool {
        type == "ADDED" || type == "MODIFIED" || type == "DELETED"
    }
}
