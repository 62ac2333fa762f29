import Essentials
import SelfMetrics

/// `mountstats`: NFS mounts of this process's mount table, from `/proc/self/mountstats`.
///
/// Source of the format: the kernel's `fs/nfs/super.c` and `net/sunrpc/stats.c`; what is exported agrees with
/// prometheus/procfs.
final class MountStatsCollector: NodeCollector {
    private struct Mount {
        var export = ""
        var protocolName = ""
        var address = ""
        var age: UInt64 = 0
        var bytes: [UInt64] = Array(repeating: 0, count: 8)
        var events: [UInt64] = Array(repeating: 0, count: 27)
        var transport: [UInt64] = Array(repeating: 0, count: 13)
        var operations: [(name: String, values: [UInt64])] = []
        var hasStatistics = false
    }

    private typealias Entry = (index: Int, metric: String, help: String)

    private static let bytes: [Entry] = [
        (0, "read_bytes_total", "Number of bytes read using the read() syscall."),
        (1, "write_bytes_total", "Number of bytes written using the write() syscall."),
        (2, "direct_read_bytes_total", "Number of bytes read using the read() syscall in O_DIRECT mode."),
        (3, "direct_write_bytes_total", "Number of bytes written using the write() syscall in O_DIRECT mode."),
        (4, "total_read_bytes_total", "Number of bytes read from the NFS server, in total."),
        (5, "total_write_bytes_total", "Number of bytes written to the NFS server, in total."),
        (6, "read_pages_total", "Number of pages read directly via mmap()'d files."),
        (7, "write_pages_total", "Number of pages written directly via mmap()'d files."),
    ]
    private static let transport: [Entry] = [
        (
            1, "transport_bind_total",
            "Number of times the client has had to establish a connection from scratch to the NFS server."
        ),
        (
            2, "transport_connect_total", "Number of times the client has made a TCP connection to the NFS server."
        ),
        (5, "transport_sends_total", "Number of RPC requests for this mount sent to the NFS server."),
        (6, "transport_receives_total", "Number of RPC responses for this mount received from the NFS server."),
        (
            7, "transport_bad_transaction_ids_total",
            "Number of times the NFS server sent a response with a transaction ID unknown to this client."
        ),
        (9, "transport_backlog_queue_total", "Total number of items added to the RPC backlog queue."),
        (11, "transport_sending_queue_total", "Total number of items added to the RPC transmission sending queue."),
        (12, "transport_pending_queue_total", "Total number of items added to the RPC transmission pending queue."),
    ]
    private static let operations: [Entry] = [
        (0, "operations_requests_total", "Number of requests performed for a given operation."),
        (
            1, "operations_transmissions_total",
            "Number of times an actual RPC request has been transmitted for a given operation."
        ),
        (
            2, "operations_major_timeouts_total",
            "Number of times a request has had a major timeout for a given operation."
        ),
        (
            3, "operations_sent_bytes_total",
            "Number of bytes sent for a given operation, including RPC headers and payload."
        ),
        (
            4, "operations_received_bytes_total",
            "Number of bytes received for a given operation, including RPC headers and payload."
        ),
        (
            5, "operations_queue_time_seconds_total",
            "Duration all requests spent queued for transmission for a given operation before they were sent, in seconds."
        ),
        (
            6, "operations_response_time_seconds_total",
            "Duration all requests took to get a reply back after a request for a given operation was transmitted, "
                + "in seconds."
        ),
        (
            7, "operations_request_time_seconds_total",
            "Duration all requests took from when a request was enqueued to when it was completely handled for a given "
                + "operation, in seconds."
        ),
    ]
    private static let events: [Entry] = [
        (0, "inode_revalidate", "Number of times cached inode attributes are re-validated from the server."),
        (1, "dnode_revalidate", "Number of times cached dentry nodes are re-validated from the server."),
        (2, "data_invalidate", "Number of times an inode cache is cleared."),
        (3, "attribute_invalidate", "Number of times cached inode attributes are invalidated."),
        (4, "vfs_open", "Number of times cached inode attributes are invalidated."),
        (5, "vfs_lookup", "Number of times a directory lookup has occurred."),
        (6, "vfs_access", "Number of times permissions have been checked."),
        (7, "vfs_update_page", "Number of updates (and potential writes) to pages."),
        (8, "vfs_read_page", "Number of pages read directly via mmap()'d files."),
        (9, "vfs_read_pages", "Number of times a group of pages have been read."),
        (10, "vfs_write_page", "Number of pages written directly via mmap()'d files."),
        (11, "vfs_write_pages", "Number of times a group of pages have been written."),
        (12, "vfs_getdents", "Number of times directory entries have been read with getdents()."),
        (13, "vfs_setattr", "Number of times directory entries have been read with getdents()."),
        (14, "vfs_flush", "Number of pending writes that have been forcefully flushed to the server."),
        (15, "vfs_fsync", "Number of times fsync() has been called on directories and files."),
        (16, "vfs_lock", "Number of times locking has been attempted on a file."),
        (17, "vfs_file_release", "Number of times files have been closed and released."),
        (19, "truncation", "Number of times files have been truncated."),
        (
            20, "write_extension",
            "Number of times a file has been grown due to writes beyond its existing end."
        ),
        (21, "silly_rename", "Number of times a file was removed while still open by another process."),
        (22, "short_read", "Number of times the NFS server gave less data than expected while reading."),
        (23, "short_write", "Number of times the NFS server wrote less data than expected while writing."),
        (
            24, "jukebox_delay",
            "Number of times the NFS server indicated EJUKEBOX; retrieving data from offline storage."
        ),
        (25, "pnfs_read", "Number of NFS v4.1+ pNFS reads."),
        (26, "pnfs_write", "Number of NFS v4.1+ pNFS writes."),
    ]
    /// Times are cut to what a float holds exactly.
    private static let exact: UInt64 = 1 << 53

    func collect(_ scrape: NodeScrape) throws {
        let path = scrape.paths.proc("self/mountstats")
        var mounts = try scrape.files.withFile(path) { try Self.read($0, path) }
        let addresses = try scrape.files.withFile(scrape.paths.proc("self/mountinfo")) { Self.addresses($0) }
        var seen: Set<[String]> = []
        for index in mounts.indices where mounts[index].hasStatistics {
            // Both tables list mounts in the same order.
            if index < addresses.count { mounts[index].address = addresses[index] }
            let mount = mounts[index]
            if seen.insert([mount.export, mount.protocolName, mount.address]).inserted { Self.add(scrape, mount) }
        }
    }

    // MARK: Reading

    private static func numbers(_ words: ArraySlice<Bytes>, _ path: String) throws -> [UInt64] {
        try words.map { word in
            guard let value = word.unsigned else { throw MalformedFile(path: path) }
            return value
        }
    }

    private static func read(_ bytes: Bytes, _ path: String) throws -> [Mount] {
        var mounts: [Mount] = []
        var version: Bytes?
        var isInOperations = false
        for line in bytes.lines {
            let words = line.words()
            guard let first = words.first else {
                version = nil
                continue
            }
            if first.equals("device"), version == nil || !isInOperations {
                guard words.count >= 8, words[2].equals("mounted"), words[3].equals("on"), words[5].equals("with"),
                    words[6].equals("fstype")
                else { throw MalformedFile(path: path) }
                version = nil
                isInOperations = false
                var mount = Mount()
                mount.export = words[1].string
                if words.count > 8 {
                    guard words[7].equals("nfs") || words[7].equals("nfs4") else {
                        throw MalformedFile(path: path, reason: "statistics of \(words[7].string)")
                    }
                    let text = words[8]
                    version = text.starts(with: "statvers=") ? text.part(9..<text.count) : text
                    mount.hasStatistics = true
                }
                mounts.append(mount)
                continue
            }
            guard let known = version, !mounts.isEmpty else { continue }
            if isInOperations {
                guard words.count >= 9 else { throw MalformedFile(path: path) }
                let name = first.last == UInt8(ascii: ":") ? first.part(0..<(first.count - 1)) : first
                mounts[mounts.count - 1].operations.append((name.string, try numbers(words[1...], path)))
            } else if first.equals("per-op") {
                isInOperations = true
            } else {
                try read(words, known, into: &mounts[mounts.count - 1], path)
            }
        }
        return mounts
    }

    private static func read(_ words: [Bytes], _ version: Bytes, into mount: inout Mount, _ path: String) throws {
        if words[0].equals("age:"), words.count > 1 {
            guard let age = words[1].unsigned else { throw MalformedFile(path: path) }
            mount.age = age
        } else if words[0].equals("bytes:") {
            mount.bytes = try numbers(words[1...], path)
            guard mount.bytes.count == 8 else { throw MalformedFile(path: path) }
        } else if words[0].equals("events:") {
            mount.events = try numbers(words[1...], path)
            guard mount.events.count == 27 else { throw MalformedFile(path: path) }
        } else if words[0].equals("xprt:") {
            guard words.count > 2 else { throw MalformedFile(path: path) }
            mount.protocolName = words[1].string
            var values = try numbers(words[2...], path)
            let isDatagram = words[1].equals("udp")
            guard isDatagram || words[1].equals("tcp") else { throw MalformedFile(path: path) }
            let expected: Int
            if version.equals("1.0") {
                expected = isDatagram ? 7 : 10
            } else if version.equals("1.1") {
                expected = isDatagram ? 10 : 13
            } else {
                throw MalformedFile(path: path, reason: "unknown version \(version.string)")
            }
            guard values.count == expected else { throw MalformedFile(path: path) }
            // UDP has no connections, and none that are idle.
            if isDatagram { values.insert(contentsOf: [0, 0, 0], at: 2) }
            mount.transport = values + Array(repeating: 0, count: 13 - values.count)
        }
    }

    /// The servers' addresses by mount, empty where there is none.
    private static func addresses(_ bytes: Bytes) -> [String] {
        bytes.lines.map { line in
            let words = line.words()
            guard let end = words.firstIndex(where: { $0.equals("-") }), end + 3 < words.count else { return "" }
            for option in words[end + 3].split(separator: UInt8(ascii: ",")) {
                let option = Bytes(rebasing: option)
                if option.starts(with: "addr=") { return option.part(5..<option.count).string }
            }
            return ""
        }
    }

    // MARK: Writing

    private static func add(_ scrape: NodeScrape, _ mount: Mount) {
        let page = scrape.page
        let labels = [("export", mount.export), ("mountaddr", mount.address), ("protocol", mount.protocolName)]
        let prefix = "node_mountstats_nfs_"
        func add(_ name: String, _ help: String, _ value: Double) {
            page.add(page.counter(prefix + name, help), labels: labels, value)
        }
        add("age_seconds_total", "The age of the NFS mount in seconds.", Double(mount.age))
        for entry in bytes { add(entry.metric, entry.help, Double(mount.bytes[entry.index])) }
        for entry in transport { add(entry.metric, entry.help, Double(mount.transport[entry.index])) }
        page.add(
            page.gauge(
                prefix + "transport_idle_time_seconds",
                "Duration since the NFS mount last saw any RPC traffic, in seconds."),
            labels: labels, Double(mount.transport[4] % exact))
        page.add(
            page.gauge(
                prefix + "transport_maximum_rpc_slots",
                "Maximum number of simultaneously active RPC requests ever used."),
            labels: labels, Double(mount.transport[10]))
        for entry in events { add("event_\(entry.metric)_total", entry.help, Double(mount.events[entry.index])) }
        for operation in mount.operations {
            for entry in operations {
                let value = operation.values[entry.index]
                page.add(
                    page.counter(prefix + entry.metric, entry.help), labels: labels + [("operation", operation.name)],
                    entry.index >= 5 ? Double(value % exact) / 1000 : Double(value))
            }
        }
    }
}
