import Essentials
import SelfMetrics

/// The lines of `/proc/net/rpc/nfs` and `nfsd`: a word and numbers.
private func readRPC(
    _ scrape: NodeScrape, _ name: String, known: Set<String>
) throws -> [String: [UInt64]] {
    let path = scrape.paths.proc("net/rpc/" + name)
    return try noDataIfMissing {
        try scrape.files.withFile(path) { bytes in
            var rows: [String: [UInt64]] = [:]
            for line in bytes.lines {
                let words = line.words(limit: 512)
                guard words.count >= 2 else { throw MalformedFile(path: path, reason: "a line without numbers") }
                let key = words[0].string
                guard known.contains(key) else { throw MalformedFile(path: path, reason: "unknown line \(key)") }
                // What follows the first two of the threads are times the kernel no longer fills in.
                let numbers = key == "th" ? Array(words[1...].prefix(2)) : Array(words[1...])
                rows[key] = try numbers.map { word in
                    guard let value = word.unsigned else { throw MalformedFile(path: path) }
                    return value
                }
            }
            return rows
        }
    }
}

/// Numbers of a line whose first one counts the others; zeros when the line is missing.
private func counted(
    _ rows: [String: [UInt64]], _ key: String, atLeast count: Int, _ path: String
) throws -> [UInt64] {
    guard let row = rows[key] else { return Array(repeating: 0, count: count) }
    guard let stated = row.first, stated == UInt64(row.count - 1), row.count > count else {
        throw MalformedFile(path: path, reason: "invalid line \(key)")
    }
    return Array(row[1...])
}

/// Numbers of a line of a fixed length; zeros when the line is missing.
private func fixed(_ rows: [String: [UInt64]], _ key: String, _ count: Int, _ path: String) throws -> [UInt64] {
    guard let row = rows[key] else { return Array(repeating: 0, count: count) }
    guard row.count == count else { throw MalformedFile(path: path, reason: "invalid line \(key)") }
    return row
}

private enum NFSMethods {
    static let version2: [String] = [
        "Null", "GetAttr", "SetAttr", "Root", "Lookup", "ReadLink", "Read", "WrCache", "Write", "Create", "Remove",
        "Rename", "Link", "SymLink", "MkDir", "RmDir", "ReadDir", "FsStat",
    ]
    static let version3: [String] = [
        "Null", "GetAttr", "SetAttr", "Lookup", "Access", "ReadLink", "Read", "Write", "Create", "MkDir", "SymLink",
        "MkNod", "Remove", "RmDir", "Rename", "Link", "ReadDir", "ReadDirPlus", "FsStat", "FsInfo", "PathConf",
        "Commit",
    ]
    static let clientVersion4: [String] = [
        "Null", "Read", "Write", "Commit", "Open", "OpenConfirm", "OpenNoattr", "OpenDowngrade", "Close", "Setattr",
        "FsInfo", "Renew", "SetClientID", "SetClientIDConfirm", "Lock", "Lockt", "Locku", "Access", "Getattr",
        "Lookup", "LookupRoot", "Remove", "Rename", "Link", "Symlink", "Create", "Pathconf", "StatFs", "ReadLink",
        "ReadDir", "ServerCaps", "DelegReturn", "GetACL", "SetACL", "FsLocations", "ReleaseLockowner", "Secinfo",
        "FsidPresent", "ExchangeID", "CreateSession", "DestroySession", "Sequence", "GetLeaseTime",
        "ReclaimComplete", "LayoutGet", "GetDeviceInfo", "LayoutCommit", "LayoutReturn", "SecinfoNoName",
        "TestStateID", "FreeStateID", "GetDeviceList", "BindConnToSession", "DestroyClientID", "Seek", "Allocate",
        "DeAllocate", "LayoutStats", "Clone",
    ]
    /// Operations of the server by number; nil for those that are not exported.
    static let serverVersion4: [String?] = [
        nil, nil, nil, "Access", "Close", "Commit", "Create", "DelegPurge", "DelegReturn", "GetAttr", "GetFH", "Link",
        "Lock", "Lockt", "Locku", "Lookup", "LookupRoot", "Nverify", "Open", "OpenAttr", "OpenConfirm", "OpenDgrd",
        "PutFH", nil, nil, "Read", "ReadDir", "ReadLink", "Remove", "Rename", "Renew", "RestoreFH", "SaveFH",
        "SecInfo", "SetAttr", "Verify", "Write", "RelLockOwner",
    ]
}

/// `nfs`: what this machine asks of NFS servers.
final class NFSCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let path = scrape.paths.proc("net/rpc/nfs")
        let rows = try readRPC(scrape, "nfs", known: ["net", "rpc", "proc2", "proc3", "proc4"])
        let network = try fixed(rows, "net", 4, path)
        let calls = try fixed(rows, "rpc", 3, path)
        let second = try counted(rows, "proc2", atLeast: 18, path)
        let third = try counted(rows, "proc3", atLeast: 22, path)
        let fourth = try counted(rows, "proc4", atLeast: 0, path)

        let page = scrape.page
        func counter(_ name: String, _ help: String) -> MetricPage.Family { page.counter("node_nfs_" + name, help) }
        let packets = counter("packets_total", "Total NFSd network packets (sent+received) by protocol type.")
        page.add(packets, "protocol", "udp", Double(network[1]))
        page.add(packets, "protocol", "tcp", Double(network[2]))
        page.add(counter("connections_total", "Total number of NFSd TCP connections."), Double(network[3]))
        page.add(counter("rpcs_total", "Total number of RPCs performed."), Double(calls[0]))
        page.add(
            counter("rpc_retransmissions_total", "Number of RPC transmissions performed."), Double(calls[1]))
        page.add(
            counter(
                "rpc_authentication_refreshes_total", "Number of RPC authentication refreshes performed."),
            Double(calls[2]))
        let requests = counter("requests_total", "Number of NFS procedures invoked.")
        func add(_ version: String, _ names: [String], _ values: [UInt64]) {
            for (index, name) in names.enumerated() {
                page.add(
                    requests, "method", name, "proto", version, Double(index < values.count ? values[index] : 0))
            }
        }
        add("2", NFSMethods.version2, second)
        add("3", NFSMethods.version3, third)
        add("4", NFSMethods.clientVersion4, fourth)
    }
}

/// `nfsd`: what this machine does as an NFS server.
final class NFSServerCollector: NodeCollector {
    private static let lines: Set<String> = [
        "rc", "fh", "io", "th", "ra", "net", "rpc", "proc2", "proc3", "proc4", "proc4ops", "wdeleg_getattr",
    ]

    func collect(_ scrape: NodeScrape) throws {
        let path = scrape.paths.proc("net/rpc/nfsd")
        let rows = try readRPC(scrape, "nfsd", known: Self.lines)
        let cache = try fixed(rows, "rc", 3, path)
        let handles = try fixed(rows, "fh", 5, path)
        let bytes = try fixed(rows, "io", 2, path)
        let threads = try fixed(rows, "th", 2, path)
        let readAhead = try fixed(rows, "ra", 12, path)
        let network = try fixed(rows, "net", 4, path)
        let calls = try fixed(rows, "rpc", 5, path)
        let second = try counted(rows, "proc2", atLeast: 18, path)
        let third = try counted(rows, "proc3", atLeast: 22, path)
        let fourth = try counted(rows, "proc4ops", atLeast: 39, path)

        let page = scrape.page
        func counter(_ name: String, _ help: String, _ value: UInt64) {
            page.add(page.counter("node_nfsd_" + name, help), Double(value))
        }
        counter(
            "reply_cache_hits_total", "Total number of NFSd Reply Cache hits (client lost server response).", cache[0])
        counter(
            "reply_cache_misses_total",
            "Total number of NFSd Reply Cache an operation that requires caching (idempotent).", cache[1])
        counter(
            "reply_cache_nocache_total",
            "Total number of NFSd Reply Cache non-idempotent operations (rename/delete/\u{2026}).", cache[2])
        counter("file_handles_stale_total", "Total number of NFSd stale file handles", handles[0])
        counter("disk_bytes_read_total", "Total NFSd bytes read.", bytes[0])
        counter("disk_bytes_written_total", "Total NFSd bytes written.", bytes[1])
        page.add(
            page.gauge("node_nfsd_server_threads", "Total number of NFSd kernel threads that are running."),
            Double(threads[0]))
        page.add(
            page.gauge("node_nfsd_read_ahead_cache_size_blocks", "How large the read ahead cache is in blocks."),
            Double(readAhead[0]))
        counter(
            "read_ahead_cache_not_found_total", "Total number of NFSd read ahead cache not found.", readAhead[11])
        let packets = page.counter(
            "node_nfsd_packets_total", "Total NFSd network packets (sent+received) by protocol type.")
        page.add(packets, "proto", "udp", Double(network[1]))
        page.add(packets, "proto", "tcp", Double(network[2]))
        counter("connections_total", "Total number of NFSd TCP connections.", network[3])
        let errors = page.counter("node_nfsd_rpc_errors_total", "Total number of NFSd RPC errors by error type.")
        page.add(errors, "error", "fmt", Double(calls[2]))
        page.add(errors, "error", "auth", Double(calls[3]))
        page.add(errors, "error", "cInt", Double(calls[4]))
        counter("server_rpcs_total", "Total number of NFSd RPCs.", calls[0])

        let requests = page.counter(
            "node_nfsd_requests_total", "Total number NFSd Requests by method and protocol.")
        func add(_ version: String, _ names: [String?], _ values: [UInt64]) {
            for (name, value) in zip(names, values) {
                if let name, name != "Null" { page.add(requests, "method", name, "proto", version, Double(value)) }
            }
        }
        add("2", NFSMethods.version2, second)
        add("3", NFSMethods.version3, third)
        add("4", NFSMethods.serverVersion4, fourth)
    }
}
